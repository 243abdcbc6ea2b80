#pragma once

#include <string_view>

namespace preforkd {

/// Remembers where the kernel keeps the command line, and moves the environment out of its way, so
/// that set_process_title() has room. Call once, first thing in main; `argv` changes by titles.
void reserve_process_title(int argc, char** argv);

/// What ps(1) shows as the command line; cut to the room there is. The short name (comm, at most 15
/// bytes) becomes the title's first word, without the colon. Source: proc(5), /proc/pid/cmdline;
/// prctl(2).
void set_process_title(std::string_view title);

}  // namespace preforkd
