// NumPy's arrays, read as images beside two labels and beside none, and as labels beside two
// images.
#include <string>
#include <vector>

#include <perch/datasets/npy.h>

#include "fuzz/harness.h"

using namespace perch;

namespace {

std::string array(std::string dictionary, std::string_view data) {
  dictionary += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(dictionary.size());
  file += '\0';
  return file + dictionary + std::string(data);
}

struct Files {
  fuzz::MemoryFile input, images, labels, no_labels;

  Files() {
    images.write(
        array("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 2, 1)}", "\1\2\3\4"));
    labels.write(array("{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}", "\1\2"));
    no_labels.write(array("{'descr': '|u1', 'fortran_order': False, 'shape': (0,)}", ""));
  }
};

void read(const fuzz::MemoryFile& images, const fuzz::MemoryFile& labels) {
  const Dataset read = datasets::from_npy(images.path(), labels.path());
  std::vector<float> image(static_cast<std::size_t>(read.image_shape().size()));
  for (std::int64_t i = 0; i < read.size(); ++i) {
    read.read(i, image.data());
    if (read.label(i) < 0 || read.label(i) >= read.classes()) std::abort();
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Files files;
  files.input.write(fuzz::text(data, size));
  fuzz::run(size, [] { read(files.input, files.labels); });
  fuzz::run(size, [] { read(files.input, files.no_labels); });
  return fuzz::run(size, [] { read(files.images, files.input); });
}
