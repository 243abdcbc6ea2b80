#include <preforkd/run.hpp>

#include "worker/services/board.hpp"
#include "worker/services/echo.hpp"
#include "worker/services/http.hpp"
#include "worker/services/status.hpp"

namespace preforkd {

std::vector<ServiceType> builtin_services() {
    return {service<worker::Http>("http"), service<worker::Board>("board"),
            service<worker::Echo>("echo"), service<worker::StatusService>("status")};
}

}  // namespace preforkd
