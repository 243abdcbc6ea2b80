#pragma once

#include <boost/asio/steady_timer.hpp>

namespace preforkd::worker {
class Session;
}

namespace preforkd::detail {

/// A running sleep_for(); its completion holds it, and finds no session when that went first.
struct SleepTimer {
    boost::asio::steady_timer timer;
    worker::Session* session;
};

}  // namespace preforkd::detail
