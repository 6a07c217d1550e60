"""Raw logs: rosbag2 folders of MCAP files, written so that a kill loses little."""
