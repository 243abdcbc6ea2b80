#include "shared/version.hpp"

namespace preforkd {

std::string_view program_version() noexcept {
    return PREFORKD_VERSION;
}

}  // namespace preforkd
