# Writes the files of the playground as C++: cmake -DFOLDER=… -DOUT=… -P web_files.cmake
#
# OUT is included by web_routes.cc: one {name, bytes} a file, in the order of their names.
file(GLOB files ${FOLDER}/*)
list(SORT files)
set(text "")
foreach(file ${files})
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(MAKE_C_IDENTIFIER ${name} identifier)
  string(APPEND arrays "constexpr char k_${identifier}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", {k_${identifier}, sizeof(k_${identifier})}},\n")
endforeach()
file(WRITE ${OUT} "${arrays}constexpr WebFile kWebFiles[] = {\n${table}};\n")
