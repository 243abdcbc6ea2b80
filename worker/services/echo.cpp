#include "worker/services/echo.hpp"

namespace preforkd::worker {

task<void> Echo::serve(Connection& client) {
    while (const auto bytes = co_await client.read_some())
        if (!co_await client.write(*bytes)) co_return;
}

}  // namespace preforkd::worker
