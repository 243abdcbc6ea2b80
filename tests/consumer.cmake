# Programs outside this tree (tests/consumer), built against an installed copy, once with CMake and
# once with pkg-config and make, and then driven through their lives by tests/daemon/consumer.cpp.
set(stage ${CMAKE_CURRENT_BINARY_DIR}/consumer)
if(PREFORKD_SANITIZE)
  set(sanitize -fsanitize=${preforkd_sanitizers})
endif()

add_test(NAME consumer.install
  COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${stage}/installed)
add_test(NAME consumer.build_with_cmake
  COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${stage}/cmake
    --build-generator ${CMAKE_GENERATOR} --build-noclean --build-options
    -DCMAKE_PREFIX_PATH=${stage}/installed -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} -DCMAKE_CXX_FLAGS=${sanitize}
    -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER})
add_test(NAME consumer.build_with_pkgconfig
  COMMAND ${CMAKE_COMMAND} -E env
    PKG_CONFIG_PATH=${stage}/installed/${CMAKE_INSTALL_LIBDIR}/pkgconfig
    make -C ${CMAKE_CURRENT_SOURCE_DIR}/consumer OUT=${stage}/pkgconfig
    "CXXFLAGS=-O0 -std=c++20 -Wall -Wextra"
    "CXX=${CMAKE_CXX_COMPILER_LAUNCHER} ${CMAKE_CXX_COMPILER} ${sanitize}")
# Configured only: the library's sources are compiled in every other test.
add_test(NAME consumer.fetch_content
  COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_SOURCE_DIR}/consumer/subproject -B ${stage}/subproject
    -DPREFORKD_SOURCE=${PROJECT_SOURCE_DIR} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
set_tests_properties(consumer.install PROPERTIES FIXTURES_SETUP installed)
set_tests_properties(
  consumer.install consumer.build_with_cmake consumer.build_with_pkgconfig consumer.fetch_content
  PROPERTIES TIMEOUT 300)

add_test(NAME daemon.consumer_of_pkgconfig
  COMMAND daemon_tests --run_test=consumer --color_output=no)
foreach(way IN ITEMS cmake pkgconfig)
  set(driven daemon.consumer)
  if(way STREQUAL pkgconfig)
    set(driven daemon.consumer_of_pkgconfig)
  endif()
  set_tests_properties(consumer.build_with_${way} PROPERTIES
    FIXTURES_REQUIRED installed FIXTURES_SETUP built_with_${way})
  set_tests_properties(${driven} PROPERTIES
    FIXTURES_REQUIRED built_with_${way} ENVIRONMENT PREFORKD_CONSUMERS=${stage}/${way}
    TIMEOUT 300)
endforeach()
