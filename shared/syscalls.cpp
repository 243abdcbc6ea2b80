#include "shared/syscalls.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace preforkd {
namespace {

Result<UniqueFd> descriptor_or_error(long returned) noexcept {
    if (returned < 0) return last_error();
    return UniqueFd(static_cast<int>(returned));
}

}  // namespace

Result<UniqueFd> open_pidfd(Pid pid) noexcept {
    return descriptor_or_error(::syscall(SYS_pidfd_open, pid.value, 0));  // always close-on-exec
}

error_code send_signal(const UniqueFd& pidfd, int signal) noexcept {
    if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) < 0) return last_error();
    return {};
}

Result<UniqueFd> sealed_memory(const char* name, std::string_view text) noexcept {
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.is_open()) return last_error();
    if (const error_code error = write_all(fd.get(), text)) return error;
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
        0)
        return last_error();
    return fd;
}

Result<std::string> read_all(const UniqueFd& fd, std::size_t limit) {
    std::string text;
    char chunk[16384];
    for (;;) {
        const ssize_t got = ::pread(fd.get(), chunk, sizeof chunk, static_cast<off_t>(text.size()));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return last_error();
        if (got == 0) return text;
        text.append(chunk, static_cast<std::size_t>(got));
        if (text.size() > limit) return error_code(EFBIG, boost::system::system_category());
    }
}

Result<UniqueFd> open_beneath(const UniqueFd& folder, const char* path, int flags,
                              std::uint64_t extra_resolve) noexcept {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | extra_resolve;
    return descriptor_or_error(::syscall(SYS_openat2, folder.get(), path, &how, sizeof how));
}

error_code write_all(int fd, std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return last_error();
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

error_code close_on_exec_from(unsigned first) noexcept {
    if (::syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) < 0) return last_error();
    return {};
}

void refuse_descriptors(const UniqueFd& socket) noexcept {
    constexpr int pass_rights = 83;  // SO_PASSRIGHTS, which no C library knows yet
    const int none = 0;
    (void)::setsockopt(socket.get(), SOL_SOCKET, pass_rights, &none, sizeof none);
}

void set_disposition(int signal, void (*disposition)(int)) noexcept {
    // As the kernel has it; a machine without a restorer has the mask in its place, which is empty.
    struct {
        void (*handler)(int);
        unsigned long flags = 0;
        void (*restorer)() = nullptr;
        std::uint64_t mask = 0;
    } const action{disposition};
    ::syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask);
}

std::string with_limit_advice(error_code error) {
    std::string text = error.message();
    if (error.value() == EMFILE)
        text += "; raise the limit on open files (ulimit -n, LimitNOFILE=)";
    if (error.value() == EFBIG)
        text += "; raise the limit on the size of files (ulimit -f, LimitFSIZE=)";
    // More on their way than one user may have open; root is spared. unix(7), SCM_RIGHTS
    if (error.value() == ETOOMANYREFS)
        text +=
            ": too many descriptors are on their way to processes of this user; raise the "
            "limit on open files (ulimit -n, LimitNOFILE=), or have fewer workers";
    return text;
}

}  // namespace preforkd
