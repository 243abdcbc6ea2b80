// A key-value store with a file: what worker/preforkd/TUTORIAL.md builds step by step.
//
//     set KEY VALUE     ok                   (or: too long)
//     get KEY           VALUE                (or: none)

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <preforkd/blocking.hpp>
#include <preforkd/service.hpp>
#include <system_error>
#include <unordered_map>

class KeyValue : public preforkd::Service {
  public:
    struct Options {
        std::filesystem::path file;
        preforkd::ByteCount max_value;
        bool sync = false;
    };
    static constexpr const char* doc = "A key-value store that remembers in a file.";
    static constexpr bool client_speaks_first = true;
    static constexpr preforkd::SandboxNeeds needs{.writes_files = true, .starts_threads = true};
    static std::vector<preforkd::KeySpec> keys();
    static std::vector<preforkd::Metric> metrics();

    void start(preforkd::ServiceContext& context) override;
    preforkd::task<void> serve(preforkd::Connection& client) override;

  private:
    preforkd::task<std::string> answer(std::string line);
    preforkd::task<std::string> set(std::string record);
    std::string get(const std::string& key);
    void catch_up();
    void remember(const std::string& record);
    void check(int error) const;

    Options options_;
    int file_ = -1;
    off_t seen_ = 0;    // of the file
    std::string rest_;  // of it: a record whose end is not there yet
    std::unordered_map<std::string, std::string> values_;
    preforkd::Counter* sets_ = nullptr;
    preforkd::Counter* bytes_ = nullptr;
};

std::vector<preforkd::KeySpec> KeyValue::keys() {
    return {
        preforkd::Key<std::filesystem::path>{.name = "file",
                                             .field = &Options::file,
                                             .opens = preforkd::Opens::data_file,
                                             .required = true,
                                             .example = "/var/lib/kvd/values",
                                             .doc = "Where the values are kept."},
        preforkd::Key<preforkd::ByteCount>{.name = "max_value",
                                           .field = &Options::max_value,
                                           .def = {1024},
                                           .min = {1},
                                           .max = {4096},
                                           .doc = "The longest value that is taken."},
        preforkd::Key<bool>{.name = "sync",
                            .field = &Options::sync,
                            .doc = "Whether a value is on the disk before it is acknowledged."},
    };
}

std::vector<preforkd::Metric> KeyValue::metrics() {
    using Kind = preforkd::Metric::Kind;
    return {{"sets", Kind::counter, "Values that were stored."},
            {"bytes", Kind::gauge, "Of keys and values in the memory of all workers."}};
}

/// Runs in each worker, without privilege, before it accepts anyone.
void KeyValue::start(preforkd::ServiceContext& context) {
    options_ = context.options<Options>();
    sets_ = &context.counter("sets");
    bytes_ = &context.gauge("bytes");
    file_ = context.descriptor("file");  // the master has opened it
    // Every worker appends; the kernel keeps their records apart. open(2), O_APPEND
    check(::fcntl(file_, F_SETFL, O_APPEND) == 0 ? 0 : errno);
    catch_up();
}

preforkd::task<void> KeyValue::serve(preforkd::Connection& client) {
    while (const auto line = co_await client.read_line()) {
        if (*line == "quit") break;
        const std::string text = co_await answer(*line) + "\n";
        client.count_request();
        if (!co_await client.write(text)) break;
    }
}

preforkd::task<std::string> KeyValue::answer(std::string line) {
    const bool is_set = line.starts_with("set ") && line.find(' ', 4) != std::string::npos;
    if (is_set) co_return co_await set(line.substr(4));
    if (line.starts_with("get ")) co_return get(line.substr(4));
    co_return "I know: set KEY VALUE, get KEY, quit";
}

/// Appends "KEY VALUE". It is known here as it is to all other workers: by reading the file.
preforkd::task<std::string> KeyValue::set(std::string record) {
    if (record.size() - record.find(' ') - 1 > options_.max_value.value) co_return "too long";
    record += '\n';
    const auto written = ::write(file_, record.data(), record.size());
    if (written != static_cast<ssize_t>(record.size())) check(written < 0 ? errno : ENOSPC);
    // errno is each thread's own, so the work brings it along.
    const auto sync = [file = file_] { return ::fdatasync(file) == 0 ? 0 : errno; };
    if (options_.sync) check(co_await preforkd::blocking(sync));
    sets_->add();
    co_return "ok";
}

std::string KeyValue::get(const std::string& key) {
    catch_up();
    const auto found = values_.find(key);
    return found == values_.end() ? "none" : found->second;
}

/// Reads what all workers have appended since the last time.
void KeyValue::catch_up() {
    char chunk[16384];
    for (ssize_t size; (size = ::pread(file_, chunk, sizeof chunk, seen_)) > 0; seen_ += size) {
        rest_.append(chunk, static_cast<std::size_t>(size));
        std::size_t begin = 0;
        for (std::size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1)
            remember(rest_.substr(begin, end - begin));
        rest_.erase(0, begin);
    }
}

void KeyValue::remember(const std::string& record) {
    const auto space = record.find(' ');
    if (space == std::string::npos) return;
    const auto [known, is_new] = values_.try_emplace(record.substr(0, space));
    if (is_new) bytes_->add(space);
    bytes_->subtract(known->second.size());
    known->second = record.substr(space + 1);
    bytes_->add(known->second.size());
}

/// What is thrown ends the connection and stands in the log, with peer and service.
void KeyValue::check(int error) const {
    if (error != 0) throw std::system_error(error, std::generic_category(), options_.file.string());
}

int main(int argc, char** argv) {
    return preforkd::run(argc, argv, {preforkd::service<KeyValue>("keyvalue")});
}
