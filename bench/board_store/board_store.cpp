#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "worker/services/board_protocol.hpp"
#include "worker/services/board_writer.hpp"

// The board's storage by itself, without a network: opening, reads, durable writes of several
// workers, against the rate at which this disk syncs one write after the other.
// Usage: board_store FOLDER [MESSAGES] [SECONDS]

using namespace preforkd;
using namespace preforkd::worker::board;

namespace {

using Time = std::chrono::steady_clock;

double seconds_since(Time::time_point start) {
    return std::chrono::duration<double>(Time::now() - start).count();
}

// Of this process; what others do on the machine doesn't count.
double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

const std::string text = "poster/" + std::string(93, 'm');

double syncs_per_second(const std::string& path, double duration, bool grows) {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    std::string page(4096, 'x');
    for (int i = 0; i < 256; ++i)
        static_cast<void>(::pwrite(file.get(), page.data(), 4096, i * 4096));
    ::fsync(file.get());
    const auto start = Time::now();
    long count = 0;
    for (; seconds_since(start) < duration; ++count) {
        const off_t offset = (grows ? 256 + count : count % 256) * 4096;
        if (::pwrite(file.get(), page.data(), page.size(), offset) < 0 ||
            ::fdatasync(file.get()) < 0)
            std::abort();
    }
    const double rate = static_cast<double>(count) / seconds_since(start);
    ::unlink(path.c_str());
    return rate;
}

void fill(const std::string& path, std::uint64_t messages) {
    StoreOptions options;
    options.create = true;
    options.durable = false;
    Store store(path, options);
    for (std::uint64_t i = 0; i < messages;) {
        auto transaction = Transaction::begin(store);
        if (!transaction) std::abort();
        for (std::uint64_t batch = 0; batch < 10'000 && i < messages; ++batch, ++i)
            if (!transaction->append(text)) std::abort();
        if (transaction->commit()) std::abort();
    }
    if (store.sync()) std::abort();
}

double reads_per_second(const std::string& path, double duration, std::uint64_t batch) {
    Store store(path, {});
    Reader reader(store);
    std::mt19937_64 random(1);
    const auto messages = reader.snapshot()->end();
    std::string out;
    const double start = cpu_seconds();
    std::uint64_t count = 0;
    while (cpu_seconds() < start + duration)
        for (int i = 0; i < 100; ++i) {
            const auto snapshot = reader.snapshot();
            out.clear();
            for (std::uint64_t j = 0; j < batch; ++j, ++count) {
                const auto number = random() % messages;
                append_message(out, number, snapshot->read(number).value());
            }
        }
    return static_cast<double>(count) / (cpu_seconds() - start);
}

double list_per_second(const std::string& path) {
    Store store(path, {});
    Reader reader(store);
    const auto snapshot = reader.snapshot();
    std::string out;
    const double start = cpu_seconds();
    for (std::uint64_t number = 0; number < snapshot->end(); ++number) {
        if (out.size() > 65536) out.clear();
        append_message(out, number, snapshot->read(number).value());
    }
    return static_cast<double>(snapshot->end()) / (cpu_seconds() - start);
}

// One worker: `clients` of them write one message after the other.
std::uint64_t write_as_worker(const std::string& path, int clients, double duration) {
    Store store(path, {});
    std::uint64_t count = 0;
    int waiting = clients;
    Writer writer(store, {},
                  [](LogLevel, const std::string& line) { fmt::print(stderr, "{}\n", line); });
    writer.start();
    const auto start = Time::now();
    std::vector<std::shared_ptr<WriteJob>> jobs;
    for (int i = 0; i < clients; ++i) {
        auto job = std::make_shared<WriteJob>();
        job->requests.resize(1);
        job->requests[0].text = text;
        job->on_done = [&, raw = job.get(), i] {
            if (raw->requests[0].error) std::abort();
            ++count;
            if (seconds_since(start) < duration)
                writer.submit(jobs[static_cast<std::size_t>(i)]);
            else
                --waiting;
        };
        jobs.push_back(job);
    }
    for (auto& job : jobs) writer.submit(job);
    while (waiting > 0) {
        pollfd readable{.fd = writer.descriptor(), .events = POLLIN, .revents = 0};
        ::poll(&readable, 1, -1);
        writer.deliver();
    }
    return count;
}

double writes_per_second(const std::string& path, int workers, int clients, double duration) {
    int ends[2];
    if (::pipe(ends) < 0) std::abort();
    for (int i = 0; i < workers; ++i)
        if (::fork() == 0) {
            const auto count = write_as_worker(path, clients / workers, duration);
            static_cast<void>(::write(ends[1], &count, sizeof count));
            ::_exit(0);
        }
    std::uint64_t sum = 0;
    for (int i = 0; i < workers; ++i) {
        std::uint64_t count = 0;
        static_cast<void>(::read(ends[0], &count, sizeof count));
        sum += count;
        ::wait(nullptr);
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return static_cast<double>(sum) / duration;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        fmt::print(stderr, "usage: board_store FOLDER [MESSAGES] [SECONDS]\n");
        return 2;
    }
    const std::string folder = argv[1];
    const auto messages = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'000;
    const double duration = argc > 3 ? std::atof(argv[3]) : 2;
    const auto path = folder + "/bench.board";

    auto start = Time::now();
    if (!std::filesystem::exists(path)) fill(path, messages);
    fmt::print("fill {} messages          {:10.2f} s, {} bytes\n", messages, seconds_since(start),
               std::filesystem::file_size(path));
    start = Time::now();
    { Store store(path, {}); }
    fmt::print("open                      {:10.3f} ms\n", 1000 * seconds_since(start));
    fmt::print("list                      {:10.0f} per CPU second\n", list_per_second(path));
    for (const std::uint64_t batch : {1, 16})
        fmt::print("read, {:2} a snapshot       {:10.0f} per CPU second\n", batch,
                   reads_per_second(path, duration, batch));
    for (int round = 0; round < 3; ++round) {
        const double floor = syncs_per_second(folder + "/bench.sync", duration, false);
        const double growing = syncs_per_second(folder + "/bench.sync", duration, true);
        fmt::print("fdatasync, one by one     {:10.0f} /s in place, {:.0f} /s growing\n", floor,
                   growing);
        for (const int clients : {1, 64})
            for (const int workers : {1, 2, 4}) {
                if (workers > clients) continue;
                const double rate = writes_per_second(path, workers, clients, duration);
                fmt::print(
                    "write, {:2} clients, {} workers{:9.0f} /s = {:5.1f} x in place, {:5.1f} x "
                    "growing\n",
                    clients, workers, rate, rate / floor, rate / growing);
            }
    }
}
