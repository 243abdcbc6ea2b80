#include "tests/unit/engine_fixture.hpp"

using namespace preforkd;
using namespace preforkd::test;

namespace {

task<void> greet_lines(Connection& client) {
    while (auto line = co_await client.read_line()) co_await client.write("hello, " + *line + "\n");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(session_reads)

BOOST_AUTO_TEST_CASE(lines_are_answered_however_they_are_split) {
    EngineFixture fixture(greet_lines);
    Peer peer = fixture.connect();
    for (const char byte : std::string("ann\r\nbob\n")) {
        peer.send({&byte, 1});
        fixture.settle();
    }
    BOOST_TEST(peer.receive() == "hello, ann\nhello, bob\n");
    peer.close();
    fixture.settle();
    BOOST_TEST(fixture.engine.session_count() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
