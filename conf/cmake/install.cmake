# What `cmake --install` puts where, in two components: `preforkd` is the daemon, `libpreforkd-dev`
# is what a program needs to become one.
include(CMakePackageConfigHelpers)

install(TARGETS preforkd_program
  RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT preforkd)
foreach(name IN LISTS preforkd_second_names)
  install(FILES ${PROJECT_BINARY_DIR}/${name} DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT preforkd)
endforeach()
install(TARGETS preforkctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT preforkd)
file(GLOB manuals_5 CONFIGURE_DEPENDS conf/man/*.5)
file(GLOB manuals_8 CONFIGURE_DEPENDS conf/man/*.8)
install(FILES ${manuals_5} DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT preforkd)
install(FILES ${manuals_8} DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT preforkd)
# The sample lies beside the documents: an installation must not overwrite what an administrator wrote.
install(FILES README.md LICENSE conf/preforkd.conf conf/bb.conf
  DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT preforkd)

# Public headers find those of shared/ beside themselves, as "shared/...", and these find each other
# by bare name: no folder but that of <preforkd/...> needs to be on a program's include path.
install(DIRECTORY worker/preforkd/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/preforkd
  COMPONENT libpreforkd-dev FILES_MATCHING PATTERN "*.hpp")
install(FILES ${preforkd_shared_headers}
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/preforkd/shared COMPONENT libpreforkd-dev)
install(FILES worker/preforkd/README.md worker/preforkd/TUTORIAL.md
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libpreforkd-dev COMPONENT libpreforkd-dev)
install(FILES tests/consumer/hello.cpp tests/consumer/keyvalue.cpp tests/consumer/relay.cpp
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libpreforkd-dev/examples COMPONENT libpreforkd-dev)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/preforkd)
install(TARGETS preforkd EXPORT preforkd-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libpreforkd-dev)
install(EXPORT preforkd-targets NAMESPACE preforkd:: DESTINATION ${package_folder}
  COMPONENT libpreforkd-dev)
configure_package_config_file(conf/cmake/preforkd-config.cmake.in preforkd-config.cmake
  INSTALL_DESTINATION ${package_folder})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(preforkd-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/preforkd-config.cmake
              ${PROJECT_BINARY_DIR}/preforkd-config-version.cmake
  DESTINATION ${package_folder} COMPONENT libpreforkd-dev)

# ${pcfiledir} makes the file true wherever the installation is moved or staged to.
file(RELATIVE_PATH pc_prefix
  /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
list(JOIN preforkd_modules " " pc_modules)
configure_file(conf/cmake/preforkd.pc.in preforkd.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/preforkd.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT libpreforkd-dev)
