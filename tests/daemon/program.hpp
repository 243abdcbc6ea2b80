#pragma once

#include <string>

namespace preforkd::testing {

/// While it lives, servers are of another program than the preforkd that was built beside the
/// tests.
class TestedProgram {
  public:
    explicit TestedProgram(const std::string& path);
    TestedProgram(const TestedProgram&) = delete;
    TestedProgram& operator=(const TestedProgram&) = delete;
    ~TestedProgram();
};

}  // namespace preforkd::testing
