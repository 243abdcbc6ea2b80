#include "master/take_over_call.hpp"

#include <boost/test/unit_test.hpp>

using namespace preforkd::master;

BOOST_AUTO_TEST_SUITE(take_over_call)

BOOST_AUTO_TEST_CASE(answers_go_through_as_they_are) {
    for (const bool proven : {true, false})
        for (const char* const text : {"1.2.3", "", "two\nlines\n.\n"}) {
            const ProofAnswer answer = decode_answer(encode(ProofAnswer{proven, text}));
            BOOST_TEST(answer.proven == proven);
            BOOST_TEST(answer.text == text);
        }
}

BOOST_AUTO_TEST_CASE(an_answer_cut_short_anywhere_proves_nothing) {
    const std::string whole = encode(ProofAnswer{true, "1.2.3"});
    for (std::size_t size = 0; size < whole.size(); ++size)
        BOOST_TEST(!decode_answer(whole.substr(0, size)).proven, "cut to " << size);
}

BOOST_AUTO_TEST_CASE(anything_else_is_a_refusal_that_shows_it_harmlessly) {
    const ProofAnswer answer = decode_answer("hello\n\x1b[31m" + std::string(1000, 'x'));
    BOOST_TEST(!answer.proven);
    BOOST_TEST(answer.text.starts_with(
        "it answered something else than a preforkd would: 'hello\\x0a\\x1b[31mxxx"));
    BOOST_TEST(answer.text.size() < 400U);
}

BOOST_AUTO_TEST_SUITE_END()
