#pragma once

#include <string>
#include <vector>

#include "master/master.hpp"
#include "shared/service_spec.hpp"

namespace preforkd::master {

/// How this program was called, and what it is.
struct Invocation {
    std::string name;                    ///< argv[0]
    std::vector<std::string> arguments;  ///< the others
    std::vector<ServiceSpec> services;
    std::string version;
};

/// Starts the master and runs it to its end, as the command line says; the exit code. Every
/// failure until the workers are READY is one message on the caller's terminal. Called by a master
/// that is to be replaced, it takes over instead, or proves that it could.
int run_master(const Invocation& invocation);

/// "program: FAULT" on standard error for each line of the error, but for the indented ones, which
/// say what to do about the last; its exit code.
int report(const std::string& program, const StartupError& error);

}  // namespace preforkd::master
