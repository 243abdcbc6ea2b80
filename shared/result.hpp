#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <cerrno>
#include <string>

namespace preforkd {

using boost::system::error_code;

/// A value or the error code that stands in its place. `std::expected` is absent in C++20.
template <class T>
using Result = boost::system::result<T>;

/// The calling thread's errno as an error_code. Source: errno(3).
[[nodiscard]] inline error_code last_error() noexcept {
    return {errno, boost::system::system_category()};
}

/// What a start-up step could not do; its text is the whole message for the person who started us.
/// `exit_code` is the LSB number that the program ends with: 1 failure, 2 usage, 4 no privilege,
/// 6 configuration.
class StartupError : public std::exception {
  public:
    StartupError(int exit_code, std::string message)
        : exit_code_(exit_code), message_(std::move(message)) {}
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }
    [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

  private:
    int exit_code_;
    std::string message_;
};

}  // namespace preforkd
