#include "master/supervision.hpp"

namespace preforkd::master {

std::string_view to_string(Reason reason) noexcept {
    switch (reason) {
        case Reason::config_refused:
            return "its configuration was refused";
        case Reason::spawn_failed:
            return "its process could not be made";
        case Reason::worker_failed:
            return "it failed";
        case Reason::unreachable:
            return "it could not be sent what it needs";
        case Reason::worker_exited:
            return "it ended before all the others were ready";
        case Reason::misbehaved:
            return "it sent an invalid message";
        case Reason::ready_timeout:
            return "it was not ready within ready_timeout";
        case Reason::drain_timeout:
            return "its clients had not finished within drain_timeout";
        case Reason::hung:
            return "it hung";
        case Reason::unwanted:
            return "it is no longer wanted";
        case Reason::stopped:
            return "the master was told to stop";
        case Reason::image_refused:
            return "it can't take over";
        case Reason::image_late:
            return "it did not answer in time";
        case Reason::not_executed:
            return "it could not be executed";
    }
    return "?";
}

std::string_view to_string(WorkerState state) noexcept {
    switch (state) {
        case WorkerState::resting:
            return "resting";
        case WorkerState::spawning:
            return "spawning";
        case WorkerState::starting:
            return "starting";
        case WorkerState::serving:
            return "serving";
        case WorkerState::retiring:
            return "retiring";
        case WorkerState::draining:
            return "draining";
        case WorkerState::killed:
            return "killed";
        case WorkerState::unwanted:
            return "unwanted";
        case WorkerState::gone:
            return "gone";
    }
    return "?";
}

std::string_view to_string(Phase phase) noexcept {
    switch (phase) {
        case Phase::created:
            return "created";
        case Phase::starting:
            return "starting";
        case Phase::running:
            return "running";
        case Phase::loading:
            return "loading";
        case Phase::reloading:
            return "reloading";
        case Phase::proving:
            return "proving a new program";
        case Phase::executing:
            return "executing a new program";
        case Phase::leaving:
            return "leaving";
        case Phase::stopping:
            return "stopping";
        case Phase::exited:
            return "exited";
    }
    return "?";
}

}  // namespace preforkd::master
