# Puts the unit, its options and its user where systemd looks, for the prefix that is installed to: that is
# known at the install only. Run by cmake --install (component system), which sets CMAKE_INSTALL_PREFIX;
# DESTDIR counts. BINARY_DIR is for files with paths filled in.
set(here ${CMAKE_CURRENT_LIST_DIR})
set(bindir ${CMAKE_INSTALL_PREFIX}/bin)
set(datadir ${CMAKE_INSTALL_PREFIX}/share)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  # Debian's places of this release.
  set(sysconfdir /etc)
  set(unitdir /lib/systemd/system)
elseif(CMAKE_INSTALL_PREFIX STREQUAL "/usr/local")
  set(sysconfdir /etc)
  set(unitdir /usr/local/lib/systemd/system)
else()
  set(sysconfdir ${CMAKE_INSTALL_PREFIX}/etc)
  set(unitdir ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
endif()

configure_file(${here}/ssmd.service.in ${BINARY_DIR}/ssmd.service @ONLY)
configure_file(${here}/ssmd.toml.in ${BINARY_DIR}/ssmd.toml @ONLY)
configure_file(${here}/ssmd.sysusers ${BINARY_DIR}/ssmd.conf COPYONLY)
file(INSTALL ${BINARY_DIR}/ssmd.service DESTINATION ${unitdir})
file(INSTALL ${BINARY_DIR}/ssmd.conf DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/sysusers.d)
file(INSTALL ${here}/gpu.conf ${here}/credentials.conf DESTINATION ${datadir}/doc/ssmd/systemd)
if(EXISTS "$ENV{DESTDIR}${sysconfdir}/ssmd/ssmd.toml")
  message("-- Kept: $ENV{DESTDIR}${sysconfdir}/ssmd/ssmd.toml")
else()
  file(INSTALL ${BINARY_DIR}/ssmd.toml DESTINATION ${sysconfdir}/ssmd)
endif()
