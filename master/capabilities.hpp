#pragma once

namespace preforkd::master {

/// Gives up, for good, every capability that a running master has no use for. What stays:
/// SETUID, SETGID, SETPCAP (a worker's way down), KILL, NET_BIND_SERVICE and NET_ADMIN (listeners),
/// SYS_RESOURCE (limits), SYS_PTRACE (who holds a port; where a hung worker hangs); and, asleep but
/// for a FileAccess, CHOWN and DAC_OVERRIDE. What was never there doesn't come. An upgrade's image
/// gets no more either. Throws StartupError.
void keep_needed_capabilities();

/// While it lives, files can be opened, made and removed as at start, whoever owns them and their
/// folders. Source: capabilities(7), CAP_DAC_OVERRIDE, CAP_CHOWN.
class FileAccess {
  public:
    FileAccess() noexcept;
    ~FileAccess();
    FileAccess(const FileAccess&) = delete;
    FileAccess& operator=(const FileAccess&) = delete;

  private:
    bool woken_ = false;
};

}  // namespace preforkd::master
