# What the package has in share/doc and share/lintian. Run when it is made, with DESTDIR set.
file(MAKE_DIRECTORY ${BINARY_DIR})
configure_file(${HERE}/changelog ${BINARY_DIR}/changelog COPYONLY)
configure_file(${HERE}/lintian-overrides ${BINARY_DIR}/ssmd COPYONLY)
execute_process(COMMAND gzip -9 --no-name --force --keep changelog WORKING_DIRECTORY ${BINARY_DIR}
  COMMAND_ERROR_IS_FATAL ANY)
file(INSTALL ${BINARY_DIR}/changelog.gz ${HERE}/copyright DESTINATION ${CMAKE_INSTALL_PREFIX}/share/doc/ssmd)
file(INSTALL ${BINARY_DIR}/ssmd DESTINATION ${CMAKE_INSTALL_PREFIX}/share/lintian/overrides)
# Man pages of a package are compressed.
file(GLOB pages $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/share/man/man*/*.[0-9])
foreach(page ${pages})
  execute_process(COMMAND gzip -9 --no-name --force ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
