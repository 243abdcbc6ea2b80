#pragma once

#include <preforkd/service.hpp>
#include <preforkd/service_type.hpp>
#include <string>

namespace preforkd::testing {

/// The program that the tests are is a server as well, when it is started by this name; so workers
/// can be asked what only they can know, and told to do what no worker should.
inline constexpr const char* probe_program = "probed";

/// A service for tests. Each line is a question or an order; see probe.cpp.
class Probe final : public Service {
  public:
    struct Options {
        std::string gate;  ///< the name of a Gate to wait at while starting
    };
    static std::vector<KeySpec> keys();

    void start(ServiceContext& context) override;
    task<void> serve(Connection& client) override;

  private:
    ServiceContext* context_ = nullptr;
};

}  // namespace preforkd::testing
