#pragma once

#include <string>

#include "attacks.hpp"
#include "daemon.hpp"

namespace preforkd::testing {

/// Workers that can be told to attack, and a file that one kind of them may read.
struct Victim {
    TempFolder folder;
    std::string root = folder / "root";
    Daemon server;

    explicit Victim(const std::string& keys = "", const std::string& sections = "");

    /// What comes of it: "done", the error's name, or "killed" once a successor is ready.
    std::string suffer(const Attack& attack, const std::string& listener);

    /// That this is what is to come of it, and that nobody else has suffered.
    void check(const Attack& attack, const std::string& listener);
};

}  // namespace preforkd::testing
