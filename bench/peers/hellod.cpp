// The README's first service, as it stands there: what a programmer gets for ten lines.

#include <preforkd/run.hpp>

struct Hello : preforkd::Service {
    preforkd::task<void> serve(preforkd::Connection& client) override {
        while (auto line = co_await client.read_line())
            co_await client.write("hello, " + *line + "\n");
    }
};

int main(int argc, char** argv) {
    return preforkd::run(argc, argv, {preforkd::service<Hello>("hello")});
}
