# The Debian package, by `cpack -G DEB` in the build folder (deploy/debian/README.md): every component that
# cmake --install knows, and what a package has besides.
set(here ${CMAKE_CURRENT_LIST_DIR})

file(STRINGS ${here}/changelog newest LIMIT_COUNT 1)
if(NOT newest MATCHES "^ssmd \\(${PROJECT_VERSION}(-[^)]*)?\\) ")
  message(FATAL_ERROR "deploy/debian/changelog begins with \"${newest}\", and ssmd is ${PROJECT_VERSION}: say there what is new")
endif()

# Part of the package alone: its changelog, terms and exceptions. CPack sets CPACK_... when it installs.
install(CODE "set(HERE ${here})
  set(BINARY_DIR ${CMAKE_CURRENT_BINARY_DIR}/debian)
  include(${here}/install.cmake)" COMPONENT debian EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ssmd)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "ssmd maintainers <maintainers@ssmd.example>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
# The paths of /etc and of the unit are not below the prefix.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL programs man data doc system debian)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_PACKAGE_NAME ssmd)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "server of state-space language models")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "ssmd serves state-space language models (Mamba, Mamba-2, RWKV, RetNet, S4 and
their family) over gRPC and OpenAI's HTTP API. A conversation is a session, and
a session is one small state that stays where it is computed: the next turn
reads only its new tokens.

The package brings the daemon with a unit for systemd, the command line ssmctl,
the benchmark ssmd-bench, and a small model that shows that everything works.")
# What the programs load, as dpkg-shlibdeps finds it. The user ssmd is made by systemd-sysusers.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers, init-system-helpers (>= 1.54)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${here}/conffiles ${here}/postinst ${here}/prerm ${here}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
