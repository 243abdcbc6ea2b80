#include "worker/seccomp.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

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
    if (!filter) throw std::system_error(ENOMEM, std::system_category(), "seccomp");
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

constexpr std::uint32_t offset_of_call = offsetof(seccomp_data, nr);

/// Only the lower half of an argument counts, for that is what the kernel takes as a descriptor.
/// libseccomp can't compare it: its "greater than" looks at all 64 bits, and whoever calls chooses
/// the upper ones.
constexpr std::uint32_t offset_of_descriptor(unsigned argument) {
    constexpr unsigned lower_half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;
    return static_cast<std::uint32_t>(offsetof(seccomp_data, args)) + 8 * argument + lower_half;
}

sock_filter load(std::uint32_t offset) {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}

sock_filter answer(std::uint32_t action) {
    return BPF_STMT(BPF_RET | BPF_K, action);
}

/// Goes on `yes` instructions further when what was loaded is `value` (BPF_JEQ) or more (BPF_JGT).
sock_filter jump(unsigned comparison, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | comparison), value, yes, no);
}

/// A filter of its own: the kernel asks all of them, and the strictest answer counts. The other one
/// has checked the architecture.
void guard_descriptors(int last_guarded) {
    const std::uint32_t denied = is_sanitizer_build() ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
    const auto last = static_cast<std::uint32_t>(last_guarded);
    std::vector<sock_filter> program{load(offset_of_call)};
    const std::vector<std::uint32_t> not_on_them{__NR_setsockopt, __NR_connect, __NR_ioctl};
#ifdef __NR_dup2
    const std::vector<std::uint32_t> not_out_of_them{__NR_dup2, __NR_dup3};
#else
    const std::vector<std::uint32_t> not_out_of_them{__NR_dup3};
#endif
    for (const std::uint32_t call : not_on_them)
        for (const sock_filter& step :
             {jump(BPF_JEQ, call, 0, 4), load(offset_of_descriptor(0)), jump(BPF_JGT, last, 1, 0),
              answer(denied), answer(SECCOMP_RET_ALLOW)})
            program.push_back(step);
    for (const std::uint32_t call : not_out_of_them)
        for (const sock_filter& step :
             {jump(BPF_JEQ, call, 0, 4), load(offset_of_descriptor(1)), jump(BPF_JGT, last, 0, 1),
              answer(denied), answer(SECCOMP_RET_ALLOW)})
            program.push_back(step);
    program.push_back(answer(SECCOMP_RET_ALLOW));
    const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole) != 0)
        throw std::system_error(errno, std::system_category(), "seccomp: guard of listeners");
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

void confine_system_calls(const std::vector<CallRule>& rules, int last_guarded) {
    guard_descriptors(last_guarded);  // first: the other one forbids seccomp(2)
    load_rules(rules);
}

}  // namespace preforkd::worker
