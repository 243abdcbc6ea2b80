#include "bench/load/protocol.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/load/board_reply.hpp"
#include "bench/load/http_reply.hpp"
#include "bench/load/plain_reply.hpp"
#include "bench/load/redis_reply.hpp"

namespace preforkd::bench {
namespace {

constexpr unsigned redis_digits = 12;  // {n} is padded to this, so that bulk lengths are known

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return text;
}

std::string http_request(const Options& options) {
    const bool own_host = std::any_of(options.headers.begin(), options.headers.end(),
                                      [](const auto& h) { return lower(h).starts_with("host:"); });
    const bool ipv6 = options.url.host.find(':') != std::string::npos;
    const std::string host = ipv6 ? fmt::format("[{}]", options.url.host) : options.url.host;
    std::string request = fmt::format("{} {} HTTP/1.1\r\n", options.method, options.url.path);
    if (!own_host) request += fmt::format("Host: {}:{}\r\n", host, options.url.port);
    for (const std::string& line : options.headers) request += line + "\r\n";
    if (options.one_shot) request += "Connection: close\r\n";
    return request + "\r\n";
}

std::string command_or(const Options& options, const char* usual) {
    if (options.command.find_first_of("\r\n") != std::string::npos)
        throw UsageError("--command: must be one line");
    return options.command.empty() ? usual : options.command;
}

/// The command's words as an array of bulk strings. Source: RESP protocol spec, "Sending commands".
std::string redis_request(const std::string& command) {
    std::string request;
    std::size_t words = 0;
    for (std::size_t at = 0; (at = command.find_first_not_of(' ', at)) != command.npos; ++words) {
        const std::size_t end = std::min(command.find(' ', at), command.size());
        const std::string word = command.substr(at, end - at);
        std::size_t length = word.size();
        for (std::size_t mark = 0; (mark = word.find("{n}", mark)) != word.npos; mark += 3)
            length += redis_digits - 3;
        request += fmt::format("${}\r\n{}\r\n", length, word);
        at = end;
    }
    if (words == 0) throw UsageError("--command: is empty");
    return fmt::format("*{}\r\n", words) + request;
}

std::string unescaped(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char next = i + 1 < text.size() ? text[i + 1] : '\0';
        const char meant = text[i] != '\\' ? '\0'
                           : next == 'n'   ? '\n'
                           : next == 'r'   ? '\r'
                           : next == 't'   ? '\t'
                                           : '\0';
        out += meant != '\0' ? meant : text[i];
        if (meant != '\0') ++i;
    }
    return out;
}

std::string echo_message(std::uint64_t size) {
    std::string message(size, '\n');
    for (std::size_t i = 0; i + 1 < message.size(); ++i) message[i] = char('a' + i % 26);
    return message;
}

}  // namespace

Protocol::Protocol(const Options& options) : options_(options) {
    std::string text;
    unsigned digits = 0;
    expectation.status = options.status;
    expectation.generation_header = lower(options.generation_header);
    switch (options.url.protocol) {
        case ProtocolName::http:
            text = http_request(options);
            break;
        case ProtocolName::board:
            text = command_or(options, "READ {n}") + "\n";
            break;
        case ProtocolName::redis:
            text = redis_request(command_or(options, "GET key:{n}"));
            digits = redis_digits;
            break;
        case ProtocolName::echo:
            text = echo_message(options.size);
            expectation.content = text;
            break;
        case ProtocolName::raw:
            text = unescaped(options.send);
            break;
    }
    if (text.empty()) throw UsageError("--send: raw needs something to send");
    request_ = RequestTemplate(text, options.numbers, digits);
}

std::unique_ptr<ReplyReader> Protocol::make_reader() const {
    switch (options_.url.protocol) {
        case ProtocolName::http:
            return std::make_unique<HttpReplyReader>(expectation, options_.method == "HEAD");
        case ProtocolName::board:
            return std::make_unique<BoardReplyReader>(options_.command.empty() ? "READ {n}"
                                                                               : options_.command);
        case ProtocolName::redis:
            return std::make_unique<RedisReplyReader>(expectation);
        case ProtocolName::echo:
            return std::make_unique<FixedReplyReader>(expectation, options_.size);
        case ProtocolName::raw:
            break;
    }
    if (options_.reply_bytes > 0)
        return std::make_unique<FixedReplyReader>(expectation, options_.reply_bytes);
    return std::make_unique<LineReplyReader>(expectation);
}

}  // namespace preforkd::bench
