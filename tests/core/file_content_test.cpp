#include <catch2/catch.hpp>

#include <perch/core/file_content.h>

#include "tests/support/errors.h"
#include "tests/support/temp_folder.h"

namespace perch {
namespace {

using namespace perch::test;

TEST_CASE("a file is read whole, and what is no file is named") {
  const TempFolder folder;
  const std::string bytes("a\r\n\0b\xff", 6);
  write_file(folder / "some", bytes);
  write_file(folder / "empty", "");
  CHECK(file_content(folder / "some") == bytes);
  CHECK(file_content(folder / "empty").empty());
  for (const std::filesystem::path& none : {folder / "none", folder.path()}) {
    const std::string error = error_of(ErrorCode::missing_input, [&] { file_content(none); });
    CHECK(error == "cannot read " + none.string() + "; give an existing file");
  }
}

}  // namespace
}  // namespace perch
