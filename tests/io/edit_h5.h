// Damages a file on purpose.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <hdf5.h>

namespace perch::test {

inline void edit_h5(const std::filesystem::path& file, const std::function<void(hid_t)>& edit) {
  const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  edit(id);
  H5Fclose(id);
}

inline void remove_attribute(const std::filesystem::path& file, const std::string& name) {
  edit_h5(file, [&](hid_t id) { H5Adelete(id, name.c_str()); });
}

/// What Keras or tfmot would have left: the same without perch's own specification.
inline void make_keras_only(const std::filesystem::path& file) {
  remove_attribute(file, "perch_config");
}

inline void set_text(const std::filesystem::path& file, const std::string& name,
                     const std::string& value) {
  edit_h5(file, [&](hid_t id) {
    H5Adelete(id, name.c_str());
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(id, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
    const char* text = value.c_str();
    H5Awrite(attribute, type, &text);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
  });
}

}  // namespace perch::test
