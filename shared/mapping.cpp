#include "shared/mapping.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace preforkd {

Result<Mapping> Mapping::map(const UniqueFd& file, int protection) noexcept {
    struct stat status {};
    if (::fstat(file.get(), &status) < 0) return last_error();
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const memory = ::mmap(nullptr, size, protection, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) return last_error();
    return Mapping(memory, size);
}

Result<Mapping> Mapping::read_only(const UniqueFd& file) noexcept {
    return map(file, PROT_READ);
}

Result<Mapping> Mapping::writable(const UniqueFd& file) noexcept {
    return map(file, PROT_READ | PROT_WRITE);
}

Result<UniqueFd> fixed_memory(const char* name, std::size_t size) noexcept {
    UniqueFd memory(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory.is_open()) return last_error();
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) < 0) return last_error();
    if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) return last_error();
    return memory;
}

error_code seal_against_new_writers(const UniqueFd& memory) noexcept {
    if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
        return last_error();
    return {};
}

}  // namespace preforkd
