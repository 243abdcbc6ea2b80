#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "master/ctl/commands.hpp"
#include "shared/config_text.hpp"
#include "shared/did_you_mean.hpp"

namespace preforkd::ctl {
namespace {

struct CommandRow {
    Command command;
    const char* name;
    const char* usage;
    const char* doc;
};

constexpr std::array command_rows{
    CommandRow{Command::status, "status", "status [--json|--watch|--quiet]",
               "show listeners and workers"},
    CommandRow{Command::reload, "reload", "reload [--wait]", "take a changed file into service"},
    CommandRow{Command::stop, "stop", "stop [--fast]", "let clients finish, then end"},
    CommandRow{Command::upgrade, "upgrade", "upgrade [--wait]", "go on as the installed program"},
    CommandRow{Command::reopen, "reopen", "reopen", "open the log files anew"},
    CommandRow{Command::workers, "workers", "workers +1|-1", "one shared worker more or fewer"},
    CommandRow{Command::board, "board", "board export|import|check FILE",
               "a bulletin board's file; see preforkctl(8)"},
    CommandRow{Command::metrics, "metrics", "metrics", "print counters for Prometheus"},
};

Fault usage_fault(std::string what, std::string hint = "-h lists the commands") {
    return {{}, {}, std::move(what), std::move(hint)};
}

const CommandRow* find_row(const std::string& name) {
    const auto row = std::find_if(command_rows.begin(), command_rows.end(),
                                  [&](const CommandRow& known) { return name == known.name; });
    return row == command_rows.end() ? nullptr : &*row;
}

Fault unknown_command(const std::string& name) {
    std::vector<std::string> names;
    for (const CommandRow& row : command_rows) names.emplace_back(row.name);
    const char* const kind = name.starts_with('-') ? "option" : "command";
    return usage_fault(
        fmt::format("unknown {} {}{}", kind, in_quotes(name), did_you_mean(name, names)));
}

/// Takes one word behind the command; false when it has no meaning there.
bool take_word(Order& order, const std::string& word) {
    switch (order.command) {
        case Command::status:
            if (word == "--json") return order.json = true;
            if (word == "--watch") return order.watch = true;
            return (word == "--quiet" || word == "-q") && (order.quiet = true);
        case Command::reload:
        case Command::upgrade:
            return word == "--wait" && (order.wait = true);
        case Command::stop:
            return word == "--fast" && (order.fast = true);
        case Command::workers:
            if (order.change != 0 || (word != "+1" && word != "-1")) return false;
            order.change = word == "+1" ? 1 : -1;
            return true;
        default:
            return false;
    }
}

}  // namespace

boost::system::result<Order, Fault> parse_order(const std::vector<std::string>& arguments) {
    Order order;
    std::size_t next = 0;
    for (; next < arguments.size() && arguments[next].starts_with('-'); ++next) {
        const std::string& option = arguments[next];
        if (option == "-h" || option == "--help") return order;
        if (option == "-V" || option == "--version") {
            order.command = Command::version;
            return order;
        }
        if (option != "-p") return unknown_command(option);
        if (++next == arguments.size() || arguments[next].empty())
            return usage_fault("-p wants the name of a lock file");
        order.lock_file = arguments[next];
    }
    if (next == arguments.size()) return usage_fault("no command");
    const std::string& name = arguments[next++];
    if (name == "board") {
        order.command = Command::board;
        order.rest.assign(arguments.begin() + static_cast<std::ptrdiff_t>(next), arguments.end());
        return order;
    }
    const CommandRow* const row = find_row(name);
    if (row == nullptr) return unknown_command(name);
    order.command = row->command;
    for (; next < arguments.size(); ++next)
        if (!take_word(order, arguments[next]))
            return usage_fault(
                fmt::format("{}: {} has no meaning here", name, in_quotes(arguments[next])),
                fmt::format("write: preforkctl {}", row->usage));
    if (order.command == Command::workers && order.change == 0)
        return usage_fault("workers: +1 or -1 is missing", "write: preforkctl workers +1");
    return order;
}

std::string help_text() {
    std::string text = "Usage:\n  preforkctl [-p LOCKFILE] COMMAND\n\nCommands:\n";
    for (const CommandRow& row : command_rows)
        text += fmt::format("  {:<32} {}\n", row.usage, row.doc);
    text +=
        "\nreload and upgrade return at once; with --wait they tell how it ended, and fail if it\n"
        "was refused. stop waits for the end; --fast does not let clients finish.\n"
        "\nOptions:\n"
        "  -p LOCKFILE    the server that holds this lock; default: /run/preforkd/preforkd.pid,\n"
        "                 without root preforkd/preforkd.pid in $XDG_RUNTIME_DIR\n"
        "  -V, --version  print the version, and exit\n"
        "  -h, --help     print this, and exit\n"
        "\nExit status: 0 done, 1 failed or refused, 2 usage, 4 not permitted, 7 not running;\n"
        "of status: 0 running, 1 dead with its lock file left, 3 stopped, 4 unknown.\n";
    return text;
}

}  // namespace preforkd::ctl
