#include <preforkd/run.hpp>

#include "worker/services/board.hpp"
#include "worker/services/echo.hpp"
#include "worker/services/http.hpp"

namespace preforkd {

std::vector<ServiceType> builtin_services() {
    return {service<worker::Http>("http"), service<worker::Board>("board"),
            service<worker::Echo>("echo")};
}

}  // namespace preforkd
