#include "victim.hpp"

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "client.hpp"

namespace preforkd::testing {

Victim::Victim(const std::string& keys, const std::string& sections)
    : server({.keys = keys,
              .sections = listener("echo", "probe", "workers = 2\n") +
                          listener("files", "file-probe", "workers = 1\nroot = " + root + "\n") +
                          sections,
              .probe = true}) {
    std::filesystem::create_directory(root);
    std::ofstream(root + "/hello.txt") << "hello";
    // Anybody might do anything there, if it weren't for the sandbox.
    for (const std::string& open : {folder.path(), root, root + "/hello.txt"})
        std::filesystem::permissions(open, std::filesystem::perms(0777));
    server.start();
}

std::string Victim::suffer(const Attack& attack, const std::string& listener) {
    Client client(server.address(listener));
    const std::string worker = client.ask("pid");
    server.mark();
    client.send(std::string("attack ") + attack.name + " " + std::to_string(server.pid()) + "\n");
    if (const auto answer = client.try_receive_line()) return *answer;
    const auto end = server.wait_for_line({"worker exited", "worker=" + worker});
    server.wait_for_line({"worker ready", "slot=" + listener});
    // A kernel without 32-bit programs knows no such way to call it.
    const bool is_fault = attack.name == std::string("call_as_32_bit") &&
                          holds_all(end, {"signal 11 (Segmentation fault)"});
    return is_fault || holds_all(end, {"signal 31 (Bad system call)"}) ? "killed" : end;
}

void Victim::check(const Attack& attack, const std::string& listener) {
    const std::string outcome = suffer(attack, listener);
    const std::string expected = attack.error == allowed ? "done"
                                 : attack.error == 0     ? "killed"
                                                         : ::strerrorname_np(attack.error);
    BOOST_TEST(outcome == expected, attack.name << ": " << outcome);
    // The listening socket that was attacked is shared with the others.
    BOOST_TEST(Client(server.address(listener)).ask("pid") != "", attack.name);
    BOOST_TEST(stat_of(server.pid()).state != 'Z', attack.name);
}

}  // namespace preforkd::testing
