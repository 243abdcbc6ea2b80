#include "file_events.hpp"

#include <sys/inotify.h>

#include <boost/test/unit_test.hpp>

#include "deadline.hpp"

namespace preforkd::testing {

FileEvents::FileEvents(const std::string& folder)
    : inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    BOOST_REQUIRE(::inotify_add_watch(inotify_.get(), folder.c_str(),
                                      IN_MODIFY | IN_CREATE | IN_MOVE | IN_CLOSE_WRITE) >= 0);
}

bool FileEvents::wait_until(const std::function<bool()>& condition) {
    const Deadline deadline;
    while (!condition()) {
        if (!wait_for(inotify_.get(), POLLIN, deadline)) return false;
        read_events();
    }
    return true;
}

bool FileEvents::wait_for_close(const std::string& name) {
    return wait_until([&] { return closed_.contains(name); });
}

void FileEvents::forget() {
    read_events();
    closed_.clear();
}

void FileEvents::read_events() {
    alignas(inotify_event) char buffer[16384];
    for (;;) {
        const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
        if (size <= 0) return;
        for (ssize_t at = 0; at < size;) {
            const auto* const event = reinterpret_cast<const inotify_event*>(buffer + at);
            if ((event->mask & IN_CLOSE_WRITE) != 0) closed_.insert(event->name);
            at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
        }
    }
}

}  // namespace preforkd::testing
