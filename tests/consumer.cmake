# Programs outside this tree (tests/consumer), built against an installed copy: once with CMake and
# once with pkg-config and a Makefile.
set(stage ${CMAKE_CURRENT_BINARY_DIR}/consumer)

add_test(NAME consumer.install
  COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${stage}/installed)
add_test(NAME consumer.build_with_cmake
  COMMAND ${CMAKE_CTEST_COMMAND} --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${stage}/cmake
    --build-generator ${CMAKE_GENERATOR} --build-noclean --build-options
    -DCMAKE_PREFIX_PATH=${stage}/installed -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
    -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
    -DCMAKE_CXX_FLAGS=$<$<BOOL:${PREFORKD_SANITIZE}>:-fsanitize=address,undefined>)
# Configured only: the library's sources are compiled in every other test.
add_test(NAME consumer.fetch_content
  COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_SOURCE_DIR}/consumer/subproject -B ${stage}/subproject
    -DPREFORKD_SOURCE=${PROJECT_SOURCE_DIR} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
set_tests_properties(consumer.install PROPERTIES FIXTURES_SETUP installed)
set_tests_properties(consumer.build_with_cmake PROPERTIES
  FIXTURES_REQUIRED installed FIXTURES_SETUP consumer_cmake)
set_tests_properties(consumer.install consumer.build_with_cmake consumer.fetch_content PROPERTIES TIMEOUT 300)
