#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/result.hpp"

// LMDB's data file, read page by page without trusting a byte of it. LMDB itself follows whatever
// numbers lie in a page: a flipped bit gives wrong data, an assertion or a crash. So the board
// reads this way, and looks this way at what LMDB is about to change. Format: LMDB 0.9, data
// version 1: pages of two B+ trees, one that holds the numbers of free pages by the transaction
// that freed them, and the main one that holds the messages by their numbers.

namespace preforkd::worker::board {

/// Where a tree begins.
struct Tree {
    std::uint32_t page_size = 0;  ///< of the file; in its first tree only
    std::uint16_t flags = 0;
    std::uint16_t depth = 0;
    std::uint64_t branch_pages = 0;
    std::uint64_t leaf_pages = 0;
    std::uint64_t overflow_pages = 0;
    std::uint64_t entries = 0;
    std::uint64_t root = 0;
};
static_assert(sizeof(Tree) == 48);

/// One of the two pages, written in turn, that say how a whole committed state looks.
struct Meta {
    std::uint32_t magic = 0;
    std::uint32_t version = 0;
    std::uint64_t address = 0;
    std::uint64_t map_size = 0;
    Tree free;
    Tree messages;
    std::uint64_t last_page = 0;
    std::uint64_t transaction = 0;
};
static_assert(sizeof(Meta) == 136);

/// Which of the two a transaction writes.
[[nodiscard]] constexpr unsigned meta_of(std::uint64_t transaction) noexcept {
    return transaction & 1;
}

/// Says that a meta's state was on the disk, so that it can't get lost unseen: LMDB's metas have no
/// checksum, and of two it takes the one that claims to be newer. Lies in the other meta's page, in
/// the end that LMDB leaves alone, so that neither a lost write of one page takes both, nor is the
/// page of the newest meta ever written again. All zero in a file that has none.
/// Source: LMDB 0.9, mdb_env_write_meta() writes the struct alone; mdb_env_init_meta() whole pages,
/// of a new file.
struct Mark {
    std::uint64_t transaction = 0;
    std::uint32_t meta_checksum = 0;
    std::uint32_t own_checksum = 0;

    [[nodiscard]] static Mark of(const Meta& meta) noexcept;
    [[nodiscard]] bool is_sound() const noexcept;
};
static_assert(sizeof(Mark) == 16);

/// Where the mark of this transaction lies in a file of such pages.
[[nodiscard]] constexpr std::uint64_t place_of_mark(std::uint64_t transaction,
                                                    std::uint32_t page_size) noexcept {
    return (meta_of(transaction + 1) + std::uint64_t{1}) * page_size - sizeof(Mark);
}

/// Both metas of a file.
struct Header {
    std::array<Meta, 2> metas;
    std::array<Mark, 2> marks;        ///< of the meta of the same index
    std::array<bool, 2> are_sound{};  ///< each by itself
    std::string fault;  ///< why the file must not be used, as "it ..."; empty: nothing is wrong

    [[nodiscard]] const Meta& newest() const noexcept {
        return metas[metas[0].transaction < metas[1].transaction ? 1 : 0];
    }
};

/// Reads and judges the header of the data file `fd`: is it LMDB's, a board's, whole?
/// Errors: those of pread(2) and fstat(2).
[[nodiscard]] Result<Header> read_header(int fd);

/// One entry of a tree: a message's record, or a list of free pages.
struct Entry {
    std::uint64_t key = 0;
    std::string_view value;
    std::uint64_t first_page = 0;  ///< of those that hold nothing but this value, if any
    std::uint64_t pages = 0;
};

/// The pages that this transaction freed, the highest first. Valid as long as `entry`'s bytes.
/// Errors: damaged: it is not as LMDB writes it.
[[nodiscard]] Result<std::vector<std::uint64_t>> free_pages(const Entry& entry, const Meta& meta);

/// Sees a whole tree. Each function returns whether to go on.
class TreeVisitor {
  public:
    virtual bool on_entry(const Entry& entry) = 0;
    /// This page is part of the tree. Returns whether to look at it, and at what hangs on it.
    virtual bool on_page(std::uint64_t) { return true; }
    /// Something on page `number` makes no sense, and what hangs on it is lost.
    virtual bool on_damage(std::uint64_t number) = 0;

  protected:
    ~TreeVisitor() = default;
};

class Pages;

/// A branch or leaf of a tree. Whatever it gives lies within the file, or is the error `damaged`.
class Page {
  public:
    [[nodiscard]] bool is_leaf() const noexcept { return is_leaf_; }

    /// How many nodes it has.
    [[nodiscard]] unsigned size() const noexcept { return size_; }

    /// Key of node `i` < size(); a branch's first one has none and counts as 0.
    [[nodiscard]] Result<std::uint64_t> key(unsigned i) const noexcept;

    /// The page below node `i` of a branch.
    [[nodiscard]] Result<std::uint64_t> child(unsigned i) const noexcept;

    /// Node `i` of a leaf, its value from wherever it lies.
    [[nodiscard]] Result<Entry> entry(unsigned i) const noexcept;

    /// Is every node in its place, and do the keys rise?
    [[nodiscard]] bool is_sound() const noexcept;

  private:
    friend class Pages;
    struct Node;
    Page(const Pages& pages, const char* bytes) noexcept : pages_(&pages), bytes_(bytes) {}
    [[nodiscard]] Result<Node> node(unsigned i) const noexcept;

    const Pages* pages_;
    const char* bytes_;
    unsigned size_ = 0;
    unsigned nodes_begin_ = 0;
    bool is_leaf_ = false;
};

/// All pages of one committed state, mapped into memory.
class Pages {
  public:
    /// `bytes`: the file, up to the end of page meta.last_page at least.
    Pages(const char* bytes, const Meta& meta) noexcept : bytes_(bytes), meta_(meta) {}

    [[nodiscard]] const Meta& meta() const noexcept { return meta_; }

    /// Errors: damaged: it is outside the file, or neither a branch nor a leaf.
    [[nodiscard]] Result<Page> page(std::uint64_t number) const noexcept;

    /// The value under `key` of `tree`, which must be there. Errors: damaged.
    [[nodiscard]] Result<std::string_view> find(const Tree& tree, std::uint64_t key) const noexcept;

    /// The entry with the highest key. Errors: damaged, or there is none.
    [[nodiscard]] Result<Entry> last(const Tree& tree) const noexcept;

    /// Why this can't be the state that its meta says it is, as "it ..."; empty: it can.
    [[nodiscard]] std::string fault_of_age() const;

    /// Are all pages on the way to `key` sound, so that LMDB may change them?
    [[nodiscard]] bool is_way_sound(const Tree& tree, std::uint64_t key) const noexcept;

    /// Shows `visitor` all of `tree` in the order of the keys, damaged parts left out.
    void walk(const Tree& tree, TreeVisitor& visitor) const;

  private:
    friend class Page;
    [[nodiscard]] std::string_view bytes_of(std::uint64_t first,
                                            std::uint64_t count) const noexcept;
    struct Walk;
    [[nodiscard]] Result<Entry> at_or_before(const Tree& tree, std::uint64_t key) const noexcept;
    [[nodiscard]] bool walk_below(std::uint64_t number, unsigned depth, Walk& walk) const;

    const char* bytes_;
    Meta meta_;
};

}  // namespace preforkd::worker::board
