# `cpack` in the build folder makes two Debian packages: preforkd and libpreforkd-dev.
set(PREFORKD_MAINTAINER "preforkd maintainers <maintainers@preforkd.example>" CACHE STRING
  "Who answers for the package: NAME <ADDRESS>")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME preforkd)
set(CPACK_PACKAGE_VENDOR preforkd)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "preforking TCP server with sandboxed workers")
set(CPACK_PACKAGE_CONTACT "${PREFORKD_MAINTAINER}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
# Paths outside of the prefix, such as /etc, need it.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL preforkd libpreforkd-dev)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "${PROJECT_HOMEPAGE_URL}")
# Compressed manuals and changelog, copyright: what Debian's policy asks of every package.
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_BINARY_DIR}/package_policy.cmake)

set(CPACK_DEBIAN_PREFORKD_PACKAGE_NAME preforkd)
set(CPACK_DEBIAN_PREFORKD_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PREFORKD_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PREFORKD_PACKAGE_DEPENDS "sysvinit-utils (>= 3.05-3~)")
set(CPACK_DEBIAN_PREFORKD_PACKAGE_RECOMMENDS "logrotate")
set(CPACK_DEBIAN_PREFORKD_DESCRIPTION
"A small privileged master takes the lock, binds the ports and forks
workers; workers without any capability touch every byte that a client
sends. A reload replaces them without losing a request.

It serves static files over HTTP; programs can bring protocols of their
own (libpreforkd-dev).")
set(CPACK_DEBIAN_LIBPREFORKD-DEV_PACKAGE_NAME libpreforkd-dev)
set(CPACK_DEBIAN_LIBPREFORKD-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBPREFORKD-DEV_PACKAGE_DEPENDS
  "pkg-config, libboost1.81-dev, libboost-program-options1.81-dev, libfmt-dev, libcap-dev, liblmdb-dev, libseccomp-dev")
set(CPACK_DEBIAN_LIBPREFORKD-DEV_DESCRIPTION
"Headers and archive for C++20 programs that bring a protocol of their own
to preforkd's master and workers.")

set(package_scripts)
foreach(script postinst prerm postrm)
  configure_file(conf/package/${script} package/${script} @ONLY
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  list(APPEND package_scripts ${PROJECT_BINARY_DIR}/package/${script})
endforeach()
file(COPY conf/package/conffiles DESTINATION ${PROJECT_BINARY_DIR}/package
  FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
set(CPACK_DEBIAN_PREFORKD_PACKAGE_CONTROL_EXTRA
  ${package_scripts} ${PROJECT_BINARY_DIR}/package/conffiles)
configure_file(conf/package/policy.cmake package_policy.cmake @ONLY)

include(CPack)
