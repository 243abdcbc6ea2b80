#pragma once

#include <preforkd/service.hpp>

#include <memory>
#include <string>

#include "worker/services/board_clerk.hpp"
#include "worker/services/board_options.hpp"
#include "worker/services/board_store.hpp"
#include "worker/services/board_turn_limit.hpp"
#include "worker/services/board_watch.hpp"
#include "worker/services/board_writer.hpp"

namespace preforkd::worker {

/// A bulletin board: clients read, write, replace and watch numbered messages, line by line. Its
/// language stands in bbserve(8).
class Board final : public Service {
  public:
    using Options = board::Options;
    static std::vector<KeySpec> keys() { return board::option_keys(); }
    static constexpr const char* doc =
        "A bulletin board: numbered messages that survive anything, for any number of clients.";
    static constexpr const char* sample_address = "*:9000";
    static constexpr SandboxNeeds needs{
        .writes_files = true, .starts_threads = true, .system_calls = "timer_settime timer_delete"};
    static constexpr const char* programs[] = {"bbserve", "bbserv"};
    static std::vector<Metric> metrics();

    void start(ServiceContext& context) override;
    void confined() override;
    task<void> serve(Connection& client) override;
    void stop() override;

  private:
    class Writing;
    class FileUse;
    using Step = board::Clerk::Step;

    void open(const Options& options);
    [[nodiscard]] Step answer(board::Visit& visit, Connection& client);
    void count(const board::WriteJob& job);
    [[nodiscard]] task<bool> watch(board::Visit& visit, Connection& client);
    void say_bye(Connection& client);
    void say(Connection& client);

    void submit(std::shared_ptr<board::WriteJob> job);
    task<void> deliver();
    task<void> keep_turn();

    ServiceContext* context_ = nullptr;
    std::size_t max_line_ = 0;
    seconds idle_timeout_{};
    seconds send_timeout_{};
    std::size_t max_connections_ = 0;
    Counter connections_;

    std::shared_ptr<FileUse> file_use_;
    std::unique_ptr<board::Store> store_;
    std::unique_ptr<board::Reader> reader_;
    std::unique_ptr<board::Clerk> clerk_;
    std::unique_ptr<board::TurnLimit> turn_limit_;
    std::unique_ptr<board::Writer> writer_;
    std::unique_ptr<board::Watch> watch_;
    Counter writing_;  // connections whose messages are being written
    Counter* stored_ = nullptr;
    Counter* refused_ = nullptr;
    Counter* transactions_ = nullptr;
    Counter* watchers_ = nullptr;
    bool keeps_turn_ = false;
    std::string out_;  // replies on their way to a connection
};

}  // namespace preforkd::worker
