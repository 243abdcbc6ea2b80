#include "worker/seccomp.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <system_error>
#include <utility>

#include "shared/channel.hpp"

namespace preforkd::worker {
namespace {

using Context = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

/// libseccomp returns a negative error number.
void check(int returned, const std::string& what) {
    if (returned < 0)
        throw std::system_error(-returned, std::system_category(), "seccomp: " + what);
}

void add(scmp_filter_ctx filter, const CallRule& rule) {
    const std::uint32_t action =
        rule.error == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(static_cast<std::uint16_t>(rule.error));
    check(::seccomp_rule_add_array(filter, action, rule.call,
                                   static_cast<unsigned>(rule.where.size()), rule.where.data()),
          "call " + std::to_string(rule.call));
}

void load_rules(const std::vector<CallRule>& rules) {
    const std::uint32_t denied = is_sanitizer_build() ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
    const Context filter(::seccomp_init(denied), ::seccomp_release);
    if (!filter) throw std::system_error(ENOMEM, std::system_category(), "seccomp: no filter");
    const std::pair<scmp_filter_attr, std::uint32_t> attributes[] = {
        {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
        {SCMP_FLTATR_CTL_NNP, 1},
        {SCMP_FLTATR_CTL_TSYNC, 1},
        {SCMP_FLTATR_CTL_OPTIMIZE, 2},  // a binary tree of the calls with conditions
        {SCMP_FLTATR_API_SYSRAWRC, 1},
    };
    for (const auto& [attribute, value] : attributes)
        check(::seccomp_attr_set(filter.get(), attribute, value), "attribute");
    for (const CallRule& rule : rules) add(filter.get(), rule);
    check(::seccomp_load(filter.get()), "load");
}

sock_filter load(std::size_t offset) {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}

sock_filter answer(std::uint32_t action) {
    return BPF_STMT(BPF_RET | BPF_K, action);
}

/// Goes on `yes` instructions further when what was loaded is `value` (BPF_JEQ) or more (BPF_JGT).
sock_filter jump(unsigned comparison, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | comparison), value, yes, no);
}

/// A filter of its own: the kernel asks all of them, and the strictest answer counts. The other one
/// has checked the architecture. Only the lower half of an argument counts, for that is what the
/// kernel takes as a descriptor; libseccomp can't compare it: its "greater than" looks at all 64
/// bits, and whoever calls chooses the upper ones.
class DescriptorGuard {
  public:
    explicit DescriptorGuard(int last_guarded)
        : last_(static_cast<std::uint32_t>(last_guarded)),
          program_{load(offsetof(seccomp_data, nr))} {}

    /// The call gets this answer when its `argument` is a guarded descriptor.
    void keep_off(std::uint32_t call, unsigned argument, std::uint32_t action) {
        add(call, argument, {jump(BPF_JGT, last_, 1, 0), answer(action)});
    }
    /// ... when it is one that is not guarded, or the channel.
    void keep_on_but_off_channel(std::uint32_t call, unsigned argument) {
        add(call, argument,
            {jump(BPF_JGT, last_, 1, 0), jump(BPF_JEQ, channel_fd, 0, 1), answer(denied())});
    }
    /// ... when it is the channel.
    void keep_off_channel(std::uint32_t call) {
        add(call, 0, {jump(BPF_JEQ, channel_fd, 0, 1), answer(denied())});
    }
    /// ... when it is a guarded one that is not the channel.
    void keep_to_channel_or_off(std::uint32_t call) {
        add(call, 0,
            {jump(BPF_JEQ, channel_fd, 2, 0), jump(BPF_JGT, last_, 1, 0), answer(denied())});
    }
    /// ... when it is any other than the channel.
    void keep_to_channel(std::uint32_t call) {
        add(call, 0, {jump(BPF_JEQ, channel_fd, 1, 0), answer(denied())});
    }

    void install() {
        program_.push_back(answer(SECCOMP_RET_ALLOW));
        const sock_fprog whole{static_cast<unsigned short>(program_.size()), program_.data()};
        if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole) != 0)
            throw std::system_error(errno, std::system_category(), "seccomp: guard of descriptors");
    }

    static std::uint32_t denied() noexcept {
        return is_sanitizer_build() ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
    }

  private:
    void add(std::uint32_t call, unsigned argument, std::vector<sock_filter> verdict) {
        constexpr std::size_t lower_half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
        verdict.insert(verdict.begin(),
                       load(offsetof(seccomp_data, args) + 8 * argument + lower_half));
        verdict.push_back(answer(SECCOMP_RET_ALLOW));
        program_.push_back(jump(BPF_JEQ, call, 0, static_cast<std::uint8_t>(verdict.size())));
        program_.insert(program_.end(), verdict.begin(), verdict.end());
    }

    std::uint32_t last_;
    std::vector<sock_filter> program_;
};

void guard_descriptors(const SharedDescriptors& shared) {
    DescriptorGuard guard(shared.last);
    using Calls = std::initializer_list<std::uint32_t>;
    // What had the channel's number could bring descriptors, as it can. The first, for it is the
    // only one that is made for each connection.
    guard.keep_off_channel(__NR_close);
    for (const std::uint32_t call : Calls{__NR_setsockopt, __NR_connect, __NR_shutdown})
        guard.keep_off(call, 0, DescriptorGuard::denied());
#ifdef PREFORKD_PUBLIC_REACTOR
    // Asio makes each descriptor non-blocking when it first waits for it. These are so already.
    guard.keep_off(__NR_ioctl, 0, SECCOMP_RET_ERRNO);
#else
    guard.keep_off(__NR_ioctl, 0, DescriptorGuard::denied());
#endif
#ifdef __NR_dup2
    guard.keep_on_but_off_channel(__NR_dup2, 1);
#endif
    guard.keep_on_but_off_channel(__NR_dup3, 1);
    // A descriptor that comes in a message would have a number that is not guarded.
    guard.keep_to_channel(__NR_recvmsg);
    // One that goes to the master, or to who reads the logs, could end there. See channel.hpp.
    guard.keep_off(__NR_sendmsg, 0, DescriptorGuard::denied());
    // By it any other datagram socket could be written to. It is made for each request, so it is
    // left to the kernel's bitmap where there is no reason.
    if (shared.has_datagrams) guard.keep_to_channel_or_off(__NR_sendto);
    guard.install();
}

}  // namespace

bool is_sanitizer_build() noexcept {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

void confine_system_calls(const std::vector<CallRule>& rules, const SharedDescriptors& shared) {
    guard_descriptors(shared);  // first: the other one forbids seccomp(2)
    load_rules(rules);
}

}  // namespace preforkd::worker
