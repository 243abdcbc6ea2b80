#include "worker/services/http_mime.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

using namespace preforkd::worker::http;

BOOST_AUTO_TEST_SUITE(http_mime)

BOOST_AUTO_TEST_CASE(common_files_have_their_type_without_any_file_of_types) {
    const MimeTypes types;
    BOOST_TEST(types.type_of("index.html") == "text/html; charset=utf-8");
    BOOST_TEST(types.type_of("a/b.c/INDEX.HTM") == "text/html; charset=utf-8");
    BOOST_TEST(types.type_of("a.css") == "text/css; charset=utf-8");
    BOOST_TEST(types.type_of("a.js") == "text/javascript; charset=utf-8");
    BOOST_TEST(types.type_of("a.json") == "application/json");
    BOOST_TEST(types.type_of("a.svg") == "image/svg+xml");
    BOOST_TEST(types.type_of("a.xml") == "application/xml");
    BOOST_TEST(types.type_of("a.tar.gz") == "application/gzip");
    BOOST_TEST(types.type_of("a.woff2") == "font/woff2");
}

BOOST_AUTO_TEST_CASE(what_has_no_known_extension_is_a_stream_of_bytes) {
    const MimeTypes types;
    for (const char* name : {"", "a", "a.", "a.unheard", ".html", "a.html/b", "a/.css"})
        BOOST_TEST(types.type_of(name) == "application/octet-stream", name);
}

BOOST_AUTO_TEST_CASE(a_file_of_types_overrules_the_table) {
    MimeTypes types;
    types.add(
        "# comment\n"
        "text/x-own\t\town OWN2 # html\n"
        "Application/X-Html html\r\n"
        "application/none\n"
        "\n"
        "nonsense html\n"
        "text/ html\n"
        "te(xt/a html\n"
        "text/xml  last");
    BOOST_TEST(types.type_of("a.own") == "text/x-own; charset=utf-8");
    BOOST_TEST(types.type_of("a.own2") == "text/x-own; charset=utf-8");
    BOOST_TEST(types.type_of("a.html") == "application/x-html");
    BOOST_TEST(types.type_of("a.last") == "text/xml");
    BOOST_TEST(types.type_of("a.css") == "text/css; charset=utf-8");
}

BOOST_AUTO_TEST_CASE(a_file_in_another_form_is_refused_with_its_line) {
    struct Row {
        std::string text;
        unsigned line;
        std::string what;
    };
    const std::string expected = "; expected: TYPE/SUBTYPE EXTENSION...";
    const std::vector<Row> rows = {
        {"text/x-own own  foo;\n", 1, "'foo;' is not an extension" + expected},
        {"types {\n    text/html html;\n}\n", 1, "'types' is not a type" + expected},
        {"# users\n\nroot:x:0:0:root:/root:/bin/bash\n", 3,
         "'root:x:0:0:root:/root:/bin/bash' is not a type" + expected},
        {"text/html; charset=utf-8 html\n", 1, "'text/html;' is not a type" + expected},
        {"text/html\n type=text/plain exts=\"txt\"\n", 2,
         "'type=text/plain' is not a type" + expected},
        {"text/html {html}", 1, "'{html}' is not an extension" + expected},
        {"text/html a/b", 1, "'a/b' is not an extension" + expected},
        {"text/html .html", 1, "'.html' is not an extension" + expected},
        {"/html a", 1, "'/html' is not a type" + expected},
        {"text/ a", 1, "'text/' is not a type" + expected},
        {"text/a/b a", 1, "'text/a/b' is not a type" + expected},
        {"te\xffxt/\x1b[1m a", 1, "'te?xt/?[1m' is not a type" + expected},
        {std::string(4000, 'x'), 1, "'" + std::string(40, 'x') + "...' is not a type" + expected},
    };
    for (const Row& row : rows) {
        BOOST_TEST_CONTEXT(row.text) {
            const preforkd::ContentProblem problem = check_types(row.text);
            BOOST_TEST(problem.line == row.line);
            BOOST_TEST(problem.what == row.what);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_file_of_types_is_accepted_whole) {
    for (const char* text : {"", "\n\n", "# comment", "text/x-alone\n",
                             "text/x-own own OWN2 # html; {\r\n", "application/x-trash ~ % bak\n",
                             "text/x-c++src c++ x_t tar.gz \xc3\xa9", "\tx!$%&'*+-.^_`|~/x a"})
        BOOST_TEST(check_types(text).what == "", text);
    std::ostringstream systems;
    systems << std::ifstream("/etc/mime.types").rdbuf();
    BOOST_TEST(check_types(systems.str()).what == "");
}

BOOST_AUTO_TEST_SUITE_END()
