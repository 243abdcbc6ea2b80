# Runs when the files of each package lie in its folder, before they are packed. Source: Debian
# Policy 12.1 (manuals), 12.5 (copyright), 12.7 (changelogs).
set(packages "${CPACK_TEMPORARY_DIRECTORY}")
foreach(package preforkd libpreforkd-dev)
  set(root "${packages}/${package}")
  if(NOT IS_DIRECTORY "${root}")
    continue()
  endif()
  set(documents "${root}/usr/share/doc/${package}")
  file(MAKE_DIRECTORY "${documents}")
  file(COPY_FILE "@PROJECT_SOURCE_DIR@/conf/package/copyright" "${documents}/copyright")
  file(REMOVE "${documents}/LICENSE")  # copyright says it all
  string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
  file(WRITE "${documents}/changelog"
    "preforkd (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n"
    "  * See the history of the source.\n\n"
    " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
  if(EXISTS "@PROJECT_SOURCE_DIR@/conf/package/${package}.lintian-overrides")
    file(MAKE_DIRECTORY "${root}/usr/share/lintian/overrides")
    file(COPY_FILE "@PROJECT_SOURCE_DIR@/conf/package/${package}.lintian-overrides"
      "${root}/usr/share/lintian/overrides/${package}")
  endif()
  file(GLOB_RECURSE manuals "${root}/usr/share/man/*.[1-9]")
  execute_process(COMMAND gzip -9nf ${manuals} "${documents}/changelog" COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB_RECURSE files "${root}/*")
  foreach(file ${files})
    if(file MATCHES "/(sbin|bin|init\\.d)/[^/]+$")
      file(CHMOD "${file}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
        WORLD_READ WORLD_EXECUTE)
    else()
      file(CHMOD "${file}" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    endif()
  endforeach()
  # Whatever the builder's umask was.
  execute_process(COMMAND find "${root}" -type d -exec chmod 0755 {} + COMMAND_ERROR_IS_FATAL ANY)
endforeach()
