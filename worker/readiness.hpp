#pragma once

#include <cstdint>

namespace preforkd::worker {

/// What a descriptor is waited for.
enum class Interest : std::uint8_t { readable, writable };

}  // namespace preforkd::worker

// Waiting for descriptors, in one of two ways with one interface:
//
//   class Reactor             one per io_context
//   class Readiness<Owner>    base of Owner, which has a member function on_ready()
//       wait(reactor, fd, interest)   later, from the event loop, calls on_ready() once, when `fd`
//                                     may be ready or has failed: the system call itself will tell.
//                                     At most one wait at a time. The first one joins epoll.
//       cancel(reactor, fd)           lets a pending wait call on_ready() soon, whatever happens
//       close(reactor, fd)            leaves epoll by closing a descriptor that nobody else has
//       leave(reactor, fd)            leaves epoll; for descriptors that others have too, which
//                                     closing would leave in it. epoll(7), "Questions and answers"
//                                     After both a pending wait still calls on_ready(), so the
//                                     owner must live until then.
//
// When an io_context is destroyed its pending waits are dropped without a call.

#ifdef PREFORKD_PUBLIC_REACTOR
#include "worker/readiness_public.hpp"
#else
#include "worker/readiness_epoll.hpp"
#endif
