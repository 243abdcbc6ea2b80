// The file server in one process: a worker's event loop without a master. For counting its
// instructions under valgrind, which knows neither pidfd_open(2), so that it can't run the master,
// nor openat2(2). Not a server: without the latter nothing keeps a path beneath the folder.

#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "shared/log.hpp"
#include "worker/access_log.hpp"
#include "worker/engine.hpp"
#include "worker/services/http.hpp"

// In place of the C library's, by which the server calls openat2(2).
extern "C" long syscall(long number, ...) noexcept {
    if (number != SYS_openat2) {
        errno = ENOSYS;
        return -1;
    }
    std::va_list arguments;
    va_start(arguments, number);
    const int folder = va_arg(arguments, int);
    const char* const path = va_arg(arguments, const char*);
    const open_how* const how = va_arg(arguments, const open_how*);
    va_end(arguments);
    return ::openat(folder, path, static_cast<int>(how->flags));
}

namespace {

using namespace preforkd;

UniqueFd listen_on(in_port_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int one = 1;
    for (const auto& [level, name] : {std::pair{SOL_SOCKET, SO_REUSEADDR},
                                      {IPPROTO_TCP, TCP_NODELAY},
                                      {IPPROTO_TCP, TCP_DEFER_ACCEPT}})
        ::setsockopt(fd.get(), level, name, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), 4096) != 0)
        throw std::runtime_error("can't listen on port " + std::to_string(port));
    return fd;
}

UniqueFd ending_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    return UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

void serve(in_port_t port, const char* root, const char* log_file) {
    const UniqueFd signals = ending_signals();
    const Logger logger(2, LogStyle::plain, LogLevel::info, "alone");
    worker::Http http;
    const UniqueFd folder(::open(root, O_PATH | O_DIRECTORY | O_CLOEXEC));
    worker::Engine engine(logger);
    worker::AccessLog access_log(engine.context());
    if (log_file != nullptr)
        access_log.redirect(
            UniqueFd(::open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)));
    worker::Http::Options options;
    options.root = root;
    options.index = {{"index.html"}};
    ServiceContext context("alone", options, {{"root", folder.get()}}, logger, &access_log);
    http.start(context);
    worker::ListenerSetup setup;
    setup.socket = listen_on(port);
    setup.name = "alone";
    setup.service_name = "http";
    setup.service = &http;
    engine.add_listener(std::move(setup));
    engine.watch(signals.get(), [&engine] { engine.stop(); });
    engine.start_accepting();
    engine.run();
    access_log.flush();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) {
        std::fputs("usage: alone PORT FOLDER [ACCESS_LOG]\n", stderr);
        return 2;
    }
    try {
        serve(in_port_t(std::strtoul(argv[1], nullptr, 10)), argv[2],
              argc == 4 ? argv[3] : nullptr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "alone: %s\n", error.what());
        return 1;
    }
}
