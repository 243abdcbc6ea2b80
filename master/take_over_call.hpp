#pragma once

#include <string>
#include <string_view>
#include <vector>

// How a master calls the program that is to take over. Numbers and words here are part of what
// programs of different versions share: see upgrade_state_version.

namespace preforkd::master {

/// The first argument of a program that is to prove that it could take over: descriptor 3 is the
/// state, and what it finds goes to descriptor 4.
inline constexpr std::string_view prove_argument = "--prove-take-over";
inline constexpr int proof_state_fd = 3;
inline constexpr int proof_answer_fd = 4;

/// The first argument of a program that has become the master. After it the number of the state's
/// descriptor and that of the program before; and, when that one comes back because the other could
/// not take over, why. argv[0] is the master's title, so that it is called so at every moment.
inline constexpr std::string_view take_over_argument = "--take-over";

/// What a proof comes to.
struct ProofAnswer {
    bool proven = false;
    std::string text;  ///< the program's version; else why it can't, in one or more lines
};

/// As it goes through the pipe.
[[nodiscard]] std::string encode(const ProofAnswer& answer);

/// An answer that is not one is a refusal that says so; `bytes` may be anything.
[[nodiscard]] ProofAnswer decode_answer(std::string_view bytes);

}  // namespace preforkd::master
