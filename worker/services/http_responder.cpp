#include "worker/services/http_responder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <stdexcept>

#include "shared/log.hpp"
#include "shared/syscalls.hpp"
#include "worker/services/http_conditional.hpp"
#include "worker/services/http_listing.hpp"

namespace preforkd::worker::http {
namespace {

// So many paths are looked up before others have their turn: each costs some ten microseconds of
// system calls, and a client may ask for more than a thousand at once.
constexpr unsigned most_lookups = 16;

// What Connection::prepare() gives at most.
constexpr std::size_t largest_prepared = 16384;

// A client can ask for such files as often as it likes.
constexpr seconds time_between_complaints{1};

/// What to do; null where a file is simply absent.
const char* advice_on(const error_code& error) noexcept {
    switch (error.value()) {
        case EACCES:
        case EPERM:
            return "; let the workers' user read it, and enter its folders";
        case EXDEV:
        case ELOOP:
            return "; a link leads out of the root, or symlinks = deny";
        case EMFILE:
        case ENFILE:
            return "; raise LimitNOFILE or lower max_connections";
        case ENOMEM:
        case EIO:
            return "";
        default:
            return nullptr;
    }
}

UniqueFd root_of(const ServiceContext& context, const Options& options) {
    UniqueFd root(::fcntl(context.descriptor("root"), F_DUPFD_CLOEXEC, 0));
    if (!root.is_open())
        throw std::runtime_error(
            fmt::format("root '{}': {}", options.root.string(), last_error().message()));
    // Asked for now, not with the first request: systemd's RestrictSUIDSGID= takes it away, as do
    // some containers, and then every file would seem to be missing.
    const auto opened = open_beneath(root, ".", O_PATH | O_DIRECTORY, 0);
    if (!opened && opened.error().value() == ENOSYS)
        throw std::runtime_error(
            "the system call openat2 is not available; needs Linux 5.6, and a service manager or "
            "container that permits it (systemd: RestrictSUIDSGID=no)");
    return root;
}

MimeTypes types_of(const ServiceContext& context) {
    MimeTypes types;
    if (const auto text = context.copy_of("mime_types")) types.add(*text);
    return types;
}

ConfiguredFields fields_of(const Options& options) {
    ConfiguredFields fields;
    if (options.cache && *options.cache > seconds(0))
        fields.cache = fmt::format("Cache-Control: max-age={}\r\n", options.cache->count());
    else if (options.cache)
        fields.cache = "Cache-Control: no-cache\r\n";
    for (const AddedField& field : options.add_header) fields.added += field.line + "\r\n";
    return fields;
}

FileRules rules_of(const Options& options) {
    FileRules rules{.index = {},
                    .follow_symlinks = options.symlinks == Symlinks::inside,
                    .serve_dotfiles = options.dotfiles,
                    .precompressed = options.precompressed,
                    .listing = options.listing,
                    .fields = fields_of(options)};
    for (const FileName& name : options.index) rules.index.push_back(name.value);
    return rules;
}

Pages pages_of(const ServiceContext& context, const Options& options, const MimeTypes& types) {
    std::map<Status, Pages::Custom> custom;
    for (std::size_t i = 0; i < options.error_page.size(); ++i) {
        const ErrorPage& page = options.error_page[i];
        // There is none after an upgrade from a program that copied no files, until it has
        // reloaded.
        if (const auto content = context.copy_of("error_page", i))
            custom[page.status] = {std::string(types.type_of(page.file.native())),
                                   std::string(*content)};
    }
    return Pages(fields_of(options), custom);
}

/// Occurs in no file but by guessing 128 random bits.
std::string make_boundary() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw std::runtime_error("getrandom: " + last_error().message());
    std::string boundary;
    for (const unsigned char byte : bytes) boundary += fmt::format("{:02x}", byte);
    return boundary;
}

Persistence persistence_of(const RequestHead& head, bool persists) noexcept {
    if (!persists) return Persistence::closes;
    return head.minor_version == 0 ? Persistence::persists_explicitly : Persistence::persists;
}

}  // namespace

std::shared_ptr<const Page> Listings::fresh(std::string_view path, TimePoint now) const {
    for (const Kept& kept : kept_)
        if (kept.page && kept.path == path && now - kept.made < Files::freshness) return kept.page;
    return nullptr;
}

void Listings::keep(std::string path, std::shared_ptr<const Page> page, TimePoint now) {
    if (page->text.size() > largest_page) return;
    kept_[oldest_] = {std::move(path), std::move(page), now};
    oldest_ = (oldest_ + 1) % kept_.size();
}

Responder::Responder(ServiceContext& context, const Options& options)
    : context_(context),
      types_(types_of(context)),
      files_(root_of(context, options), rules_of(options), types_),
      pages_(pages_of(context, options, types_)),
      lines_(context.access_format(), context.listener_name()),
      boundary_(make_boundary()) {}

void Responder::renew(const Moment& now) noexcept {
    now_ = now;
    starts_.renew(now.wall);
    lookups_ = 0;
}

Responder::Rest Responder::respond(Connection& client, const RequestHead& head, bool persists) {
    const Exchange exchange{client, head, persistence_of(head, persists)};
    switch (head.method) {
        case Method::get:
        case Method::head:
            return answer_path(exchange);
        case Method::options:
            send_page(exchange, Status::no_content, pages_.options());
            break;
        case Method::known:
            send_page(exchange, Status::method_not_allowed, pages_.of(Status::method_not_allowed));
            break;
        case Method::unknown:
            send_page(exchange, Status::not_implemented, pages_.of(Status::not_implemented));
            break;
    }
    return nullptr;
}

void Responder::respond_with(Connection& client, const RequestHead& head, Status status,
                             bool persists) {
    send_page({client, head, persistence_of(head, persists)}, status, pages_.of(status));
}

Responder::Rest Responder::answer_path(const Exchange& exchange) {
    const std::string_view path = exchange.head.path;
    if (const Variants* const variants = files_.fresh(path, now_.monotonic))
        return answer_file(exchange, *variants);
    Rest rest = answer_found(exchange, files_.look_up(path, now_));
    if (++lookups_ < most_lookups) return rest;
    if (!rest) rest = std::make_unique<Delivery>();
    rest->yields = true;
    return rest;
}

Responder::Rest Responder::answer_found(const Exchange& exchange, Found found) {
    switch (found.kind) {
        case Found::Kind::file:
            return answer_file(exchange, *found.variants);
        case Found::Kind::listing:
            return send_listing(exchange, std::move(found));
        case Found::Kind::redirect:
            send_redirect(exchange, found.path);
            break;
        case Found::Kind::refused:
            if (found.error) tell_refusal(exchange.head.path, found);
            send_page(exchange, found.status, pages_.of(found.status));
            break;
    }
    return nullptr;
}

Responder::Rest Responder::answer_file(const Exchange& exchange, const Variants& variants) {
    const RequestHead& head = exchange.head;
    const File& file = variants.choose(head);
    const Representation& representation = file->representation();
    const Validators current{representation.etag, representation.modified};
    if (is_answered_by_conditions(exchange, current, file->not_modified_fields())) return nullptr;
    if (head.has(Field::range) && head.method == Method::get &&
        is_range_current(head, current, now_.wall)) {
        RangeSet set;
        switch (read_ranges(head.value(Field::range), representation.size, set)) {
            case RangeVerdict::whole:
                break;
            case RangeVerdict::partial:
                // Content-Encoding would say that what is compressed is the multipart.
                if (set.count > 1 && representation.coding != Coding::identity) break;
                return send_ranges(exchange, file, set);
            case RangeVerdict::unsatisfiable:
                send_unsatisfiable(exchange, representation);
                return nullptr;
        }
    }
    return send_whole(exchange, file);
}

/// What is there and isn't served is mostly a slip of the administrator's.
void Responder::tell_refusal(std::string_view path, const Found& found) {
    const char* const advice = advice_on(found.error);
    if (advice == nullptr || now_.monotonic < silent_until_) return;
    silent_until_ = now_.monotonic + time_between_complaints;
    context_.log(found.status == Status::internal_error ? LogLevel::error : LogLevel::warning,
                 fmt::format("can't serve '{}': {}{}", path, found.error.message(), advice));
}

/// `fields` and `more` are those of a 304.
bool Responder::is_answered_by_conditions(const Exchange& exchange, const Validators& current,
                                          std::string_view fields, std::string_view more) {
    switch (evaluate_conditions(exchange.head, current, now_.wall)) {
        case Condition::holds:
            return false;
        case Condition::not_modified:
            put_head(exchange, Status::not_modified, fields, more);
            log_request(exchange, Status::not_modified, 0);
            return true;
        case Condition::failed:
            break;
    }
    send_page(exchange, Status::precondition_failed, pages_.of(Status::precondition_failed));
    return true;
}

Responder::Rest Responder::send_whole(const Exchange& exchange, const File& file) {
    const std::uint64_t size = file->representation().size;
    if (!exchange.wants_content()) {
        put_head(exchange, Status::ok, file->fields());
        log_request(exchange, Status::ok, 0);
        return nullptr;
    }
    if (file->in_memory()) {
        put_head(exchange, Status::ok, file->fields_and_content());
        log_request(exchange, Status::ok, size);
        return nullptr;
    }
    put_head(exchange, Status::ok, file->fields());
    Delivery delivery{.file = file, .parts = {{"", {0, size - 1}}}};
    return deliver(exchange, Status::ok, size, std::move(delivery));
}

Responder::Rest Responder::send_ranges(const Exchange& exchange, const File& file,
                                       const RangeSet& set) {
    const Representation& whole = file->representation();
    const ConfiguredFields& configured = files_.rules().fields;
    Delivery delivery{.file = file};
    std::uint64_t length = set.ranges[0].length();
    if (set.count == 1) {
        put_head(
            exchange, Status::partial_content,
            partial_fields(whole, configured, content_range(set.ranges[0], whole.size), length));
        delivery.parts.push_back({"", set.ranges[0]});
    } else {
        Multipart multipart(whole.type, boundary_, whole.size, set);
        length = multipart.content_length();
        put_head(exchange, Status::partial_content,
                 multipart_fields(whole, configured, boundary_, length));
        for (std::size_t i = 0; i < set.count; ++i)
            delivery.parts.push_back({multipart.part_head(i), set.ranges[i]});
        delivery.after = multipart.closing();
    }
    if (!file->in_memory())
        return deliver(exchange, Status::partial_content, length, std::move(delivery));
    for (const Delivery::Part& part : delivery.parts) {
        exchange.client.put(part.before);
        exchange.client.put(file->content().substr(part.range.first, part.range.length()));
    }
    exchange.client.put(delivery.after);
    log_request(exchange, Status::partial_content, length);
    return nullptr;
}

Responder::Rest Responder::send_listing(const Exchange& exchange, Found found) {
    if (is_answered_by_conditions(exchange, {}, files_.rules().fields.added, "\r\n"))
        return nullptr;
    const std::shared_ptr<const Page> page = listing_of(std::move(found));
    if (!page) {
        send_page(exchange, Status::internal_error, pages_.of(Status::internal_error));
        return nullptr;
    }
    if (!exchange.wants_content() || page->text.size() <= largest_prepared - start_capacity) {
        send_page(exchange, Status::ok, *page);
        return std::make_unique<Delivery>(Delivery{.yields = true});
    }
    put_head(exchange, Status::ok, page->fields());
    Delivery delivery{.page = page, .yields = true};
    return deliver(exchange, Status::ok, page->content().size(), std::move(delivery));
}

/// Null, and logged, when the folder can't be read.
std::shared_ptr<const Page> Responder::listing_of(Found found) {
    if (auto page = listings_.fresh(found.path, now_.monotonic)) return page;
    std::string path = found.path;
    auto page = make_listing(std::move(found));
    if (page) listings_.keep(std::move(path), page, now_.monotonic);
    return page;
}

std::shared_ptr<const Page> Responder::make_listing(Found found) {
    auto content = read_folder(files_.root(), std::move(found.folder), found.path, files_.rules());
    if (!content) {
        context_.log(LogLevel::error,
                     fmt::format("can't list '{}': {}", found.path, content.error().message()));
        return nullptr;
    }
    return std::make_shared<const Page>(
        make_page("text/html; charset=utf-8",
                  listing_page(found.path, std::move(content->entries), content->is_cut),
                  files_.rules().fields.added));
}

Responder::Rest Responder::deliver(const Exchange& exchange, Status status, std::uint64_t size,
                                   Delivery delivery) {
    if (context_.logs_access()) {
        const IpText ip = exchange.client.peer_ip();
        delivery.log_line = lines_.render(ip, exchange.head, status, size, now_.wall);
        delivery.failed_log_line = lines_.render(ip, exchange.head, status, {}, now_.wall);
    }
    return std::make_unique<Delivery>(std::move(delivery));
}

void Responder::send_redirect(const Exchange& exchange, std::string_view path) {
    const std::string more =
        fmt::format("Location: {}\r\n{}", folder_location(path, exchange.head.query),
                    files_.rules().fields.added);
    send_page(exchange, Status::moved_permanently,
              make_page("text/html; charset=utf-8", error_page(Status::moved_permanently), more));
}

void Responder::send_unsatisfiable(const Exchange& exchange, const Representation& file) {
    send_page(exchange, Status::range_not_satisfiable, pages_.of(Status::range_not_satisfiable),
              fmt::format("Content-Range: bytes */{}\r\n", file.size));
}

void Responder::send_page(const Exchange& exchange, Status status, const Page& page,
                          std::string_view first_field) {
    const std::string_view rest = exchange.wants_content() ? page.text : page.fields();
    put_head(exchange, status, first_field, rest);
    log_request(exchange, status, rest.size() - page.fields_size);
}

/// Gathers the start of a head, then `fields` and `content`.
void Responder::put_head(const Exchange& exchange, Status status, std::string_view fields,
                         std::string_view content) {
    Connection& client = exchange.client;
    const bool fits = start_capacity + fields.size() + content.size() <= largest_prepared;
    char* const begin =
        client.prepare(fits ? start_capacity + fields.size() + content.size() : start_capacity);
    client.count_request(static_cast<unsigned>(status));
    char* end = render_start(begin, status, starts_, exchange.persistence);
    if (fits) end = append(append(end, fields), content);
    client.commit(static_cast<std::size_t>(end - begin));
    if (fits) return;
    client.put(fields);
    client.put(content);
}

void Responder::log_request(const Exchange& exchange, Status status, std::uint64_t content_size) {
    if (!context_.logs_access()) return;
    const IpText ip = exchange.client.peer_ip();
    context_.log_access(lines_.render(ip, exchange.head, status, content_size, now_.wall));
}

}  // namespace preforkd::worker::http
