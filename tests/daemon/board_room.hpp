#pragma once

#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "client.hpp"
#include "daemon.hpp"

// A bulletin board for a test.

namespace preforkd::testing {

/// A folder that only its owner can enter, for the board's files.
struct Room {
    TempFolder folder;
    std::string file = folder / "bbfile";

    Room() { BOOST_REQUIRE(::chmod(folder.path().c_str(), 0700) == 0); }
};

/// `bbserve -c FILE -f FILE`, with what else its file says.
inline Setup alone(const Room& room, const std::string& keys = "workers = 2\n") {
    Setup setup;
    setup.name = "bbserve";
    setup.keys = fmt::format("address = {}:0\n", own_ip()) + keys;
    setup.sections = "";
    setup.arguments = {"-f", room.file};
    return setup;
}

/// Connects and takes the greeting.
inline Client visit(Daemon& server, const std::string& name = "board") {
    Client client(server.address(name));
    BOOST_TEST(client.receive_line().starts_with("0.0 "));
    return client;
}

}  // namespace preforkd::testing
