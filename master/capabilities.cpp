#include "master/capabilities.hpp"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "shared/exit_code.hpp"
#include "shared/result.hpp"

namespace preforkd::master {
namespace {

constexpr std::array<cap_value_t, 8> always{CAP_SETUID,       CAP_SETGID,           CAP_SETPCAP,
                                            CAP_KILL,         CAP_NET_BIND_SERVICE, CAP_NET_ADMIN,
                                            CAP_SYS_RESOURCE, CAP_SYS_PTRACE};
constexpr std::array<cap_value_t, 2> for_files{CAP_CHOWN, CAP_DAC_OVERRIDE};

struct FreeCapabilities {
    void operator()(cap_t capabilities) const noexcept { ::cap_free(capabilities); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCapabilities>;

bool has(const Capabilities& set, cap_value_t capability, cap_flag_t flag) {
    cap_flag_value_t value = CAP_CLEAR;
    return ::cap_get_flag(set.get(), capability, flag, &value) == 0 && value == CAP_SET;
}

bool put(const Capabilities& set, cap_value_t capability, cap_flag_t flag, bool wanted) {
    return ::cap_set_flag(set.get(), flag, 1, &capability, wanted ? CAP_SET : CAP_CLEAR) == 0;
}

bool stays(cap_value_t capability) {
    return std::find(always.begin(), always.end(), capability) != always.end() ||
           std::find(for_files.begin(), for_files.end(), capability) != for_files.end();
}

/// Without CAP_SETPCAP it stays as it is.
void drop_from_bounding_set() noexcept {
    for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
        if (!stays(capability) && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return;
}

/// Makes what we have of `for_files` effective or not; false when nothing changes.
bool set_file_access(bool wanted) noexcept {
    const Capabilities ours(::cap_get_proc());
    if (!ours) return false;
    bool changes = false;
    for (const cap_value_t capability : for_files) {
        if (!has(ours, capability, CAP_PERMITTED)) continue;
        if (has(ours, capability, CAP_EFFECTIVE) == wanted) continue;
        changes = put(ours, capability, CAP_EFFECTIVE, wanted);
    }
    return changes && ::cap_set_proc(ours.get()) == 0;
}

[[noreturn]] void fail() {
    throw StartupError(exit_failure, "can't give up capabilities: " + last_error().message());
}

}  // namespace

void keep_needed_capabilities() {
    drop_from_bounding_set();
    const Capabilities ours(::cap_get_proc()), kept(::cap_init());
    if (!ours || !kept) fail();
    for (const cap_value_t capability : always)
        for (const cap_flag_t flag : {CAP_PERMITTED, CAP_EFFECTIVE, CAP_INHERITABLE})
            if (has(ours, capability, flag) && !put(kept, capability, flag, true)) fail();
    for (const cap_value_t capability : for_files)
        for (const cap_flag_t flag : {CAP_PERMITTED, CAP_INHERITABLE})
            if (has(ours, capability, flag) && !put(kept, capability, flag, true)) fail();
    if (::cap_set_proc(kept.get()) < 0) fail();
}

FileAccess::FileAccess() noexcept : woken_(set_file_access(true)) {}

FileAccess::~FileAccess() {
    if (woken_) set_file_access(false);
}

}  // namespace preforkd::master
