#include "worker/services/board_pages.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cstring>

#include "worker/services/board_error.hpp"
#include "worker/services/board_record.hpp"

namespace preforkd::worker::board {
namespace {

constexpr std::uint32_t lmdb_magic = 0xBEEFC0DE;
constexpr std::uint32_t lmdb_version = 1;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr unsigned max_depth = 32;
constexpr std::uint32_t smallest_page = 512;
constexpr std::uint32_t largest_page = 32768;

enum PageFlag : std::uint16_t { branch_page = 1, leaf_page = 2, overflow_page = 4, meta_page = 8 };
constexpr std::uint16_t integer_keys = 8;
constexpr std::uint16_t no_folder = 0x4000;  // of the environment, kept in its first tree
constexpr std::uint16_t value_in_own_pages = 1;

struct PageHeader {
    std::uint64_t number = 0;
    std::uint16_t padding = 0;
    std::uint16_t flags = 0;
    std::uint16_t lower = 0;  // of an overflow page, these two are the count of its pages
    std::uint16_t upper = 0;
};
static_assert(sizeof(PageHeader) == 16);

struct NodeHeader {
    std::array<std::uint16_t, 2> halves{};  // of the value's size or the child, native order
    std::uint16_t flags = 0;                // of a branch: the child's highest 16 bits
    std::uint16_t key_size = 0;
};
static_assert(sizeof(NodeHeader) == 8);

template <class T>
T load(const char* from) noexcept {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

std::string judge_tree(const Tree& tree, const Meta& meta) {
    const bool is_empty = tree.root == no_page;
    if (is_empty != (tree.entries == 0) || tree.depth > max_depth ||
        (!is_empty && (tree.root < 2 || tree.root > meta.last_page)))
        return "is damaged in its header";
    return {};
}

std::string judge(const PageHeader& page, const Meta& meta, unsigned index) {
    if (page.flags != meta_page || meta.magic != lmdb_magic) return "is not a bulletin board";
    if (meta.version != lmdb_version)
        return fmt::format("is of LMDB's format {}, not {}", meta.version, lmdb_version);
    if (!std::has_single_bit(meta.free.page_size) || meta.free.page_size < smallest_page ||
        meta.free.page_size > largest_page || page.number != index || meta.last_page < 1 ||
        (meta.transaction != 0 && meta_of(meta.transaction) != index) ||
        (meta.free.flags & ~no_folder) != integer_keys)
        return "is damaged in its header";
    if (meta.messages.flags != integer_keys && meta.messages.entries != 0)
        return "holds something else than a bulletin board";
    auto fault = judge_tree(meta.free, meta);
    return fault.empty() ? judge_tree(meta.messages, meta) : fault;
}

std::string judge_both(const Header& header) {
    const auto [first, second] = header.metas;
    const auto difference = first.transaction - second.transaction;
    const bool are_in_turn = difference == 1 || difference == no_page ||
                             (first.transaction == 0 && second.transaction == 0);
    if (!are_in_turn || first.free.page_size != second.free.page_size)
        return "is damaged in its header";
    return {};
}

// Reads meta `index` at `offset` into `header`; returns its fault.
Result<std::string> read_meta(int fd, unsigned index, std::uint64_t offset, Header& header) {
    char bytes[sizeof(PageHeader) + sizeof(Meta)];
    const ssize_t got = ::pread(fd, bytes, sizeof bytes, static_cast<off_t>(offset));
    if (got < 0) return last_error();
    if (got < static_cast<ssize_t>(sizeof bytes))
        return std::string(index == 0 ? "is too short for a bulletin board" : "was cut");
    header.metas[index] = load<Meta>(bytes + sizeof(PageHeader));
    auto fault = judge(load<PageHeader>(bytes), header.metas[index], index);
    header.are_sound[index] = fault.empty();
    return fault;
}

// Of the older meta nothing more is asked: a failed write leaves the number of the one before with
// the trees of the failed one. Source: LMDB 0.9, mdb_env_write_meta().
std::string judge_marks(const Header& header) {
    const auto newest = header.newest().transaction;
    for (unsigned index = 0; index < 2; ++index) {
        const Meta& meta = header.metas[index];
        const Mark& mark = header.marks[index];
        if (!mark.is_sound() || meta_of(mark.transaction) != index) continue;
        if (mark.transaction > meta.transaction)
            return fmt::format(
                "has lost what was on the disk: page {} should say that {} transactions were "
                "written, and says {}",
                index, mark.transaction, meta.transaction);
        if (mark.transaction == newest && mark.meta_checksum != Mark::of(meta).meta_checksum)
            return "is damaged in its header";
    }
    return {};
}

error_code read_marks(int fd, Header& header) {
    for (unsigned index = 0; index < 2; ++index) {
        const auto place = place_of_mark(index, header.metas[0].free.page_size);
        Mark& mark = header.marks[index];
        if (::pread(fd, &mark, sizeof mark, static_cast<off_t>(place)) < 0) return last_error();
    }
    return {};
}

Result<Header> read_metas(int fd) {
    Header header;
    const auto first = read_meta(fd, 0, 0, header);
    if (!first) return first.error();
    header.fault = *first;
    // A damaged first one doesn't say where the second is.
    const bool is_known = header.are_sound[0];
    std::uint32_t page_size = is_known ? header.metas[0].free.page_size : smallest_page;
    for (; page_size <= largest_page && !header.are_sound[1]; page_size *= 2) {
        const auto second = read_meta(fd, 1, page_size, header);
        if (!second) return second.error();
        if (header.fault.empty()) header.fault = *second;
        if (is_known) break;
    }
    if (header.fault.empty()) header.fault = judge_both(header);
    return header;
}

// The marks before the metas that are compared with them, for others may be committing.
Result<Header> read_header_once(int fd) {
    auto before = read_metas(fd);
    if (!before || !before->fault.empty()) return before;
    if (const auto error = read_marks(fd, *before)) return error;
    auto header = read_metas(fd);
    if (!header || !header->fault.empty()) return header;
    header->marks = before->marks;
    header->fault = judge_marks(*header);
    return header;
}

error_code damaged() noexcept {
    return StoreError::damaged;
}

// The last node whose key is not above `key`. `lowest`: none in the page is below.
Result<unsigned> search(const Page& page, std::uint64_t key, std::uint64_t lowest) noexcept {
    // Numbers are dense, so the node's place is known, and its page's other nodes stay untouched.
    if (page.is_leaf() && key >= lowest && key - lowest < page.size()) {
        const auto guess = static_cast<unsigned>(key - lowest);
        const auto found = page.key(guess);
        if (found && *found == key) return guess;
    }
    unsigned low = page.is_leaf() ? 0 : 1;
    unsigned high = page.size();
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        const auto found = page.key(middle);
        if (!found) return found.error();
        if (*found <= key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return damaged();
    return low - 1;
}

std::string_view bytes_of(const auto& value) noexcept {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

Mark Mark::of(const Meta& meta) noexcept {
    Mark mark{.transaction = meta.transaction,
              .meta_checksum = record_checksum(meta.transaction, bytes_of(meta))};
    mark.own_checksum = record_checksum(mark.transaction, bytes_of(mark.meta_checksum));
    return mark;
}

bool Mark::is_sound() const noexcept {
    return own_checksum == record_checksum(transaction, bytes_of(meta_checksum));
}

Result<std::vector<std::uint64_t>> free_pages(const Entry& entry, const Meta& meta) {
    constexpr std::size_t step = sizeof(std::uint64_t);
    const std::size_t room = entry.value.size() / step;
    if (room == 0 || entry.key > meta.transaction) return damaged();
    const auto count = load<std::uint64_t>(entry.value.data());
    if (count >= room) return damaged();
    std::vector<std::uint64_t> pages(count);
    std::uint64_t before = meta.last_page + 1;
    for (std::size_t i = 0; i < count; ++i) {
        pages[i] = load<std::uint64_t>(entry.value.data() + (i + 1) * step);
        if (pages[i] >= before || pages[i] < 2) return damaged();
        before = pages[i];
    }
    return pages;
}

Result<Header> read_header(int fd) {
    // Others may be committing: a meta read while it is written isn't damaged.
    auto header = read_header_once(fd);
    for (int again = 0; again < 10 && header && !header->fault.empty(); ++again)
        header = read_header_once(fd);
    if (!header || !header->fault.empty()) return header;
    struct stat status {};
    if (::fstat(fd, &status) < 0) return last_error();
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const auto& meta = header->newest();
    const auto expected = (meta.last_page + 1) * meta.free.page_size;
    if (size < expected)
        header->fault =
            fmt::format("was cut: it has {} bytes, its last page ends at {}", size, expected);
    return header;
}

struct Page::Node {
    const char* bytes;
    NodeHeader header;
    std::size_t size;  // with header, key and, in a leaf, value

    [[nodiscard]] std::uint64_t half(unsigned i) const noexcept {
        constexpr bool is_little = std::endian::native == std::endian::little;
        return header.halves[is_little ? i : 1 - i];
    }
    [[nodiscard]] std::uint64_t value_size() const noexcept { return half(0) | half(1) << 16; }
};

Result<Page::Node> Page::node(unsigned i) const noexcept {
    const auto page_size = pages_->meta_.free.page_size;
    const auto offset = load<std::uint16_t>(bytes_ + sizeof(PageHeader) + 2 * i);
    if (offset < nodes_begin_ || offset + sizeof(NodeHeader) > page_size) return damaged();
    Node node{.bytes = bytes_ + offset,
              .header = load<NodeHeader>(bytes_ + offset),
              .size = sizeof(NodeHeader)};
    const bool has_no_key = !is_leaf_ && i == 0 && node.header.key_size == 0;
    if (node.header.key_size != sizeof(std::uint64_t) && !has_no_key) return damaged();
    node.size += node.header.key_size;
    if (is_leaf_) {
        if ((node.header.flags & ~value_in_own_pages) != 0) return damaged();
        node.size += node.header.flags == 0 ? node.value_size() : sizeof(std::uint64_t);
    }
    if (offset + node.size > page_size) return damaged();
    return node;
}

Result<std::uint64_t> Page::key(unsigned i) const noexcept {
    if (!is_leaf_ && i == 0) return 0u;
    const auto found = node(i);
    if (!found) return found.error();
    return load<std::uint64_t>(found->bytes + sizeof(NodeHeader));
}

Result<std::uint64_t> Page::child(unsigned i) const noexcept {
    const auto found = node(i);
    if (!found) return found.error();
    return found->value_size() | std::uint64_t{found->header.flags} << 32;
}

Result<Entry> Page::entry(unsigned i) const noexcept {
    const auto found = node(i);
    if (!found) return found.error();
    const char* const key = found->bytes + sizeof(NodeHeader);
    const char* const value = key + sizeof(std::uint64_t);
    const auto size = found->value_size();
    Entry entry;
    entry.key = load<std::uint64_t>(key);
    if (found->header.flags == 0) {
        entry.value = {value, size};
        return entry;
    }
    const auto number = load<std::uint64_t>(value);
    const auto first = pages_->bytes_of(number, 1);
    if (first.empty()) return damaged();
    const auto header = load<PageHeader>(first.data());
    const auto count = load<std::uint32_t>(first.data() + offsetof(PageHeader, lower));
    const auto all = pages_->bytes_of(number, count);
    if (header.number != number || header.flags != overflow_page ||
        size + sizeof header > all.size())
        return damaged();
    entry.value = all.substr(sizeof header, size);
    entry.first_page = number;
    entry.pages = count;
    return entry;
}

bool Page::is_sound() const noexcept {
    std::size_t used = 0;
    std::uint64_t last = 0;
    for (unsigned i = 0; i < size_; ++i) {
        const auto found = node(i);
        const auto own_key = key(i);
        if (!found || !own_key || (i > 0 && *own_key <= last)) return false;
        if (is_leaf_ && !entry(i)) return false;
        last = *own_key;
        used += (found->size + 1) & ~std::size_t{1};  // nodes begin at even offsets
    }
    return used <= pages_->meta_.free.page_size - nodes_begin_;
}

std::string_view Pages::bytes_of(std::uint64_t first, std::uint64_t count) const noexcept {
    if (first < 2 || first > meta_.last_page || count > meta_.last_page + 1 - first) return {};
    return {bytes_ + first * meta_.free.page_size, count * meta_.free.page_size};
}

Result<Page> Pages::page(std::uint64_t number) const noexcept {
    const auto bytes = bytes_of(number, 1);
    if (bytes.empty()) return damaged();
    const auto header = load<PageHeader>(bytes.data());
    if (header.number != number || (header.flags != branch_page && header.flags != leaf_page) ||
        header.lower < sizeof header || header.lower > header.upper ||
        header.upper > meta_.free.page_size)
        return damaged();
    Page page(*this, bytes.data());
    page.size_ = (header.lower - unsigned{sizeof header}) / 2;
    page.nodes_begin_ = header.upper;
    page.is_leaf_ = header.flags == leaf_page;
    if (page.size_ == 0) return damaged();
    return page;
}

Result<Entry> Pages::at_or_before(const Tree& tree, std::uint64_t key) const noexcept {
    auto number = tree.root;
    std::uint64_t lowest = 0;
    for (unsigned depth = 0; depth < tree.depth; ++depth) {
        const auto here = page(number);
        if (!here) return here.error();
        const auto index = search(*here, key, lowest);
        if (!index) return index.error();
        if (here->is_leaf()) return here->entry(*index);
        const auto first = here->key(*index);
        if (!first) return first.error();
        if (*index > 0) lowest = *first;
        const auto below = here->child(*index);
        if (!below) return below.error();
        number = *below;
    }
    return damaged();
}

Result<std::string_view> Pages::find(const Tree& tree, std::uint64_t key) const noexcept {
    const auto found = at_or_before(tree, key);
    if (!found) return found.error();
    if (found->key != key) return damaged();
    return found->value;
}

Result<Entry> Pages::last(const Tree& tree) const noexcept {
    return at_or_before(tree, ~std::uint64_t{0});
}

bool Pages::is_way_sound(const Tree& tree, std::uint64_t key) const noexcept {
    auto number = tree.root;
    for (unsigned depth = 1; depth <= tree.depth; ++depth) {
        const auto here = page(number);
        if (!here || !here->is_sound() || here->is_leaf() != (depth == tree.depth)) return false;
        if (here->is_leaf()) return true;
        const auto index = search(*here, key, 0);
        const auto below = index ? here->child(*index) : Result<std::uint64_t>(index.error());
        if (!below || here->size() < 2) return false;  // LMDB asserts that a branch has two
        number = *below;
    }
    return false;
}

// Every transaction, but a new board's first ones, frees pages and lists them under its number.
std::string Pages::fault_of_age() const {
    const auto freed = last(meta_.free);
    if (!freed || freed->key == meta_.transaction) return {};
    return fmt::format("claims that {} transactions were written, but lists {}", meta_.transaction,
                       freed->key);
}

struct Pages::Walk {
    TreeVisitor& visitor;
    std::uint64_t pages_left;  // a damaged tree may lead in circles
};

void Pages::walk(const Tree& tree, TreeVisitor& visitor) const {
    Walk walk{.visitor = visitor, .pages_left = meta_.last_page};
    if (tree.root != no_page) static_cast<void>(walk_below(tree.root, tree.depth, walk));
}

bool Pages::walk_below(std::uint64_t number, unsigned depth, Walk& walk) const {
    const auto here = page(number);
    if (depth == 0 || walk.pages_left == 0 || !here || here->is_leaf() != (depth == 1))
        return walk.visitor.on_damage(number);
    --walk.pages_left;
    if (!walk.visitor.on_page(number)) return true;
    for (unsigned i = 0; i < here->size(); ++i) {
        bool goes_on = true;
        if (here->is_leaf()) {
            const auto found = here->entry(i);
            goes_on = found ? walk.visitor.on_entry(*found) : walk.visitor.on_damage(number);
        } else {
            const auto below = here->child(i);
            goes_on = below ? walk_below(*below, depth - 1, walk) : walk.visitor.on_damage(number);
        }
        if (!goes_on) return false;
    }
    return true;
}

}  // namespace preforkd::worker::board
