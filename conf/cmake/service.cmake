# What an administrator needs beside the program: units, init script, users, folders, rotation,
# completion, the first configuration. Paths in them depend on the prefix, which is known for sure
# only while installing (cmake --install --prefix, DESTDIR, packages), so a script writes them then.
configure_file(conf/cmake/install_service.cmake.in install_service.cmake @ONLY)
install(SCRIPT ${PROJECT_BINARY_DIR}/install_service.cmake COMPONENT preforkd)
install(DIRECTORY conf/site DESTINATION ${CMAKE_INSTALL_DATADIR}/preforkd COMPONENT preforkd)
install(DIRECTORY conf/service/drop-ins conf/container
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT preforkd)
foreach(program preforkd bbserve preforkctl)  # found by the program's name
  install(FILES conf/completion/preforkd RENAME ${program}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT preforkd)
endforeach()
