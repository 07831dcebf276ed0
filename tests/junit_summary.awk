# Reads a JUnit file that ctest wrote. Prints "RAN FAILED SKIPPED" and then, per reason, the tests that
# were skipped. A test that failed and then skipped itself has failed, whatever ctest says.

function decode(text) {
  gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&amp;/, "\\&", text)
  return text
}

function finish_test() {
  if (state == "disabled") reason = "disabled"
  if (state == "fail" || has_failure || not_found) ++failed
  else if (state == "run") { ++ran; return }
  else {
    ++skipped
    if (reason == "") reason = "no reason given"
    if (!(reason in names)) reasons[++reason_count] = reason
    names[reason] = names[reason] "\n      " name
    ++times[reason]
    return
  }
  ++ran
}

/<testcase / {
  match($0, /name="[^"]*"/); name = decode(substr($0, RSTART + 6, RLENGTH - 7))
  match($0, /status="[^"]*"/); state = substr($0, RSTART + 8, RLENGTH - 9)
  reason = ""; collecting = 0; has_failure = 0; not_found = 0
}
/<skipped message="Unable/ { not_found = 1 }
/\[  FAILED  \]/ { has_failure = 1 }
/^\[  SKIPPED \]/ { collecting = 0 }
collecting { reason = reason (reason == "" ? "" : " ") decode($0) }
/: Skipped$/ && reason == "" { collecting = 1 }                              # GoogleTest
/Skipped: / { sub(/^.*Skipped: /, ""); reason = decode($0) }                 # scripts
/<\/testcase>/ { finish_test() }

END {
  print ran + 0, failed + 0, skipped + 0
  for (i = 1; i <= reason_count; ++i)
    print "  skipped (" times[reasons[i]] "): " reasons[i] names[reasons[i]]
}
