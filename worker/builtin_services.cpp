#include <preforkd/run.hpp>

#include "worker/services/echo.hpp"

namespace preforkd {

std::vector<ServiceType> builtin_services() {
    return {service<worker::Echo>("echo")};
}

}  // namespace preforkd
