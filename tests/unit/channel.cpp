#include "shared/channel.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <filesystem>

#include "shared/syscalls.hpp"
#include "tests/daemon/needs_refusal.hpp"
#include "unit/process_support.hpp"

using namespace preforkd;
using preforkd::testing::in_child;

BOOST_AUTO_TEST_SUITE(channel)

struct Pair {
    UniqueFd master, worker;
    Pair() {
        int ends[2];
        BOOST_REQUIRE(
            ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        master.reset(ends[0]);
        worker.reset(ends[1]);
    }
    template <class Bytes>
    void worker_sends(const Bytes& bytes, std::size_t size) {
        BOOST_REQUIRE(::send(worker.get(), &bytes, size, 0) == static_cast<ssize_t>(size));
    }
};

void send_with_descriptors(const UniqueFd& socket, Message message, std::size_t size, int passed,
                           unsigned count) {
    iovec bytes{&message, size};
    alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (unsigned i = 0; i < count; ++i)
        std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &passed, sizeof passed);
    BOOST_REQUIRE(::sendmsg(socket.get(), &header, 0) == static_cast<ssize_t>(size));
}

std::ptrdiff_t open_descriptors() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

Message said(MessageKind kind, std::string_view text = {}) {
    Message message;
    message.kind = kind;
    message.set_text(text);
    return message;
}

BOOST_FIXTURE_TEST_CASE(a_message_arrives_as_it_was_sent, Pair) {
    Message sent = said(MessageKind::failed, "root '/srv/wwww': No such file or directory");
    sent.generation = 7;
    sent.section = 3;
    BOOST_TEST(!send_message(worker, sent));
    const auto received = receive_from_worker(master);
    BOOST_REQUIRE(received.has_value());
    BOOST_TEST((received->kind == MessageKind::failed));
    BOOST_TEST(received->generation == 7u);
    BOOST_TEST(received->section == 3u);
    BOOST_TEST(received->get_text() == "root '/srv/wwww': No such file or directory");
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_reaches_the_worker_close_on_exec, Pair) {
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    BOOST_TEST(!send_message(master, said(MessageKind::listener), null.get()));
    const auto received = receive_from_master(worker);
    BOOST_REQUIRE(received.has_value());
    BOOST_TEST(received->descriptor.is_open());
    BOOST_TEST((::fcntl(received->descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

BOOST_FIXTURE_TEST_CASE(the_master_refuses_every_other_size, Pair) {
    const Message message = said(MessageKind::ready);
    struct {
        Message first;
        char more[4096];
    } longer{message, {}};
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, sizeof(Message) - 1,
                                   sizeof(Message) + 1, sizeof longer}) {
        worker_sends(longer, size);
        BOOST_TEST(receive_from_worker(master).error().value() == EBADMSG);
    }
}

BOOST_FIXTURE_TEST_CASE(the_master_refuses_kinds_that_a_worker_may_not_say, Pair) {
    for (const std::uint32_t kind : {0u, 1u, 10u, 99u, 106u, ~0u}) {
        BOOST_TEST(!send_message(worker, said(static_cast<MessageKind>(kind))));
        BOOST_TEST(receive_from_worker(master).error().value() == EBADMSG);
    }
}

BOOST_FIXTURE_TEST_CASE(the_master_refuses_a_text_without_its_end, Pair) {
    Message message = said(MessageKind::failed);
    message.text.fill('x');
    worker_sends(message, sizeof message);
    BOOST_TEST(receive_from_worker(master).error().value() == EBADMSG);
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_passed_to_the_master_is_dropped_and_the_message_invalid,
                        Pair) {
    const UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int next_free = ::dup(probe.get());
    ::close(next_free);
    BOOST_TEST(!send_message(worker, said(MessageKind::ready), probe.get()));
    BOOST_TEST(receive_from_worker(master).error().value() == EBADMSG);
    BOOST_TEST(::fcntl(next_free, F_GETFD) == -1);
}

// A master that dropped a connection with SO_LINGER, its last descriptor, waited for the client.
BOOST_FIXTURE_TEST_CASE(a_descriptor_does_not_even_reach_a_master_that_refuses_them, Pair,
                        *boost::unit_test::precondition(testing::needs_refusal)) {
    refuse_descriptors(master);
    const Message ready = said(MessageKind::ready);
    BOOST_TEST(send_message(worker, ready, worker.get()).value() == EPERM);
    BOOST_TEST(!send_message(worker, ready));
    BOOST_TEST(receive_from_worker(master).has_value());
    BOOST_TEST(!send_message(master, said(MessageKind::listener), master.get()));
    BOOST_TEST(receive_from_master(worker)->descriptor.is_open());
}

// Two were taken, for the room for one has padding for another, and the second stayed open for
// good; as did one that came without any bytes. Found by fuzzing.
BOOST_FIXTURE_TEST_CASE(descriptors_that_are_too_many_or_come_with_nothing_are_closed, Pair) {
    const UniqueFd passed(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const auto open_before = open_descriptors();
    const Message message = said(MessageKind::drain);
    for (const std::size_t size : {std::size_t{0}, sizeof message}) {
        for (unsigned count = size == 0 ? 1 : 2; count <= 3; ++count) {
            send_with_descriptors(master, message, size, passed.get(), count);
            BOOST_TEST(receive_from_master(worker).error().value() == EBADMSG);
            BOOST_TEST(open_descriptors() == open_before, count << " with " << size);
        }
    }
}

BOOST_FIXTURE_TEST_CASE(a_descriptor_for_which_no_number_is_free_is_told, Pair) {
    const UniqueFd passed(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    BOOST_TEST(!send_message(master, said(MessageKind::access_log), passed.get()));
    BOOST_TEST(!send_message(master, said(MessageKind::drain)));
    const int status = in_child([&] {
        const rlimit none{0, 0};
        if (::setrlimit(RLIMIT_NOFILE, &none) < 0) return 2;
        if (receive_from_master(worker).error().value() != EMFILE) return 3;
        const auto next = receive_from_master(worker);
        return next && next->message.kind == MessageKind::drain ? 0 : 4;
    });
    BOOST_TEST(status == 0);
}

BOOST_FIXTURE_TEST_CASE(an_end_that_closed_is_told_from_one_that_is_silent, Pair) {
    BOOST_TEST(receive_from_worker(master).error().value() == EAGAIN);
    worker.reset();
    BOOST_TEST(receive_from_worker(master).error().value() == EPIPE);
    BOOST_TEST(send_message(master, said(MessageKind::drain)).value() == EPIPE);
}

BOOST_FIXTURE_TEST_CASE(a_worker_that_never_reads_does_not_block_the_master, Pair) {
    error_code error;
    for (int i = 0; i < 100'000 && !error; ++i)
        error = send_message(master, said(MessageKind::drain));
    BOOST_TEST(error.value() == EAGAIN);
}

BOOST_AUTO_TEST_CASE(a_long_text_is_cut_and_still_ends) {
    const Message message = said(MessageKind::failed, std::string(1000, 'y'));
    BOOST_TEST(message.get_text() == std::string(239, 'y'));
}

BOOST_AUTO_TEST_SUITE_END()
