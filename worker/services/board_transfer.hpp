#pragma once

#include <cstdint>
#include <functional>
#include <string>

// The board as text, one `number/poster/message` a line, as in the course; and its examination.
// For preforkctl; all may run while workers serve the board. Each throws StartupError when it can't
// go on.

namespace preforkd::worker::board {

/// Hears how far it is; `total` is 0 when nobody knows.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

/// Hears what is wrong, as a sentence without its file's name.
using OnFault = std::function<void(const std::string& fault)>;

struct Examined {
    std::uint64_t messages = 0;  ///< that are sound
    std::uint64_t faults = 0;
};

/// Writes every message that can be read to descriptor `out`. A file that is cut, or one of whose
/// two headers is damaged, still gives what is left of it.
Examined export_board(const std::string& path, int out, const Progress& progress,
                      const OnFault& on_fault);

/// Reads every byte that the board relies on.
Examined check_board(const std::string& path, const Progress& progress, const OnFault& on_fault);

struct ImportOptions {
    /// Where the text leaves out numbers, at most so many in a row, placeholders take their place.
    std::uint64_t fill_gaps = 0;
};

/// As many as a damaged board may have lost, and few enough for a wrong digit to do no harm.
inline constexpr std::uint64_t usual_gap = 1000;

struct Imported {
    std::uint64_t messages = 0;
    std::uint64_t placeholders = 0;
    std::uint64_t skipped = 0;  ///< that were there already
};

/// Appends the messages that descriptor `in` gives, whose numbers must go on where the board ends;
/// those that are there already, word by word, are skipped. Makes a new board if there is none.
/// What was imported before a fault stays, so that the same text, corrected, goes on from there.
Imported import_board(const std::string& path, int in, const ImportOptions& options,
                      const Progress& progress);

/// What import_board() puts in a gap.
inline constexpr const char* placeholder = "nobody/(missing)";

}  // namespace preforkd::worker::board
